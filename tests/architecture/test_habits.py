"""Habits of the house that no linter knows."""

import ast
import re
from collections.abc import Iterator

from .source import Module, dotted, is_within, modules

BROAD = {"Exception", "BaseException"}
BROAD_PER_THOUSAND_LINES = 0.3
LOG_VERBS = {"debug", "info", "warning", "error", "exception", "critical", "log", "adebug", "ainfo", "awarning", "aerror", "aexception"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK|for now|in production you would)\b")
# Settings are read in the first. The others only say which settings file it is, or set what a library or a child process reads there.
MAY_TOUCH_THE_ENVIRONMENT = {
    "chamada/environment.py",
    "chamada/asgi.py",
    "chamada/wsgi.py",
    "agent_worker/bootstrap.py",
    "agent_worker/job_process.py",
    "agent_worker/metrics.py",
}


def broad_excepts(module: Module) -> Iterator[ast.ExceptHandler]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(kind is None or dotted(kind) in BROAD for kind in caught):
                yield node


def test_broad_excepts_are_rare() -> None:
    places = [module.at(node) for module in modules() for node in broad_excepts(module)]
    budget = BROAD_PER_THOUSAND_LINES * sum(len(module.lines) for module in modules()) / 1000
    assert len(places) <= budget, places


def test_a_broad_except_says_why() -> None:
    silent = [
        module.at(node)
        for module in modules()
        for node in broad_excepts(module)
        if not any("#" in line.replace("# noqa", "") for line in module.lines[node.lineno - 2 : node.lineno + 1])
    ]
    assert silent == []


def test_nothing_is_printed_but_by_commands() -> None:
    assert [module.at(call) for module in modules() for call in module.calls() if dotted(call.func) == "print"] == []


def test_a_log_line_is_a_fixed_message() -> None:
    wrong = [
        module.at(call)
        for module in modules()
        for call in module.calls()
        for owner, _dot, verb in [dotted(call.func).rpartition(".")]
        if verb in LOG_VERBS and owner.rpartition(".")[2] in {"log", "logger", "_log"} and call.args
        if not (isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)) or len(call.args) > 1
    ]
    assert wrong == []


def test_the_environment_is_read_by_the_settings_alone() -> None:
    readers = {
        module.where
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and dotted(node) in {"os.environ", "os.getenv", "os.putenv"}
    }
    readers |= {
        module.where for module in modules() for _node, name in module.imports() if is_within(name, "os.environ", "os.getenv", "environ")
    }
    assert readers <= MAY_TOUCH_THE_ENVIRONMENT


def test_nothing_is_left_for_later() -> None:
    assert [f"{module.where}: {found.group()}" for module in modules() if (found := UNFINISHED.search(module.text))] == []


def test_no_naive_time_is_made() -> None:
    wrong = [
        module.at(call)
        for module in modules()
        for call in module.calls()
        if dotted(call.func) in {"datetime.utcnow", "datetime.datetime.utcnow", "datetime.today", "date.today", "datetime.date.today"}
        or (dotted(call.func) in {"datetime.now", "datetime.datetime.now"} and not call.args and not call.keywords)
    ]
    assert wrong == []

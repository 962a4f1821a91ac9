"""A call's state is written in one module."""

import ast
from collections.abc import Iterator

import pytest

from .source import Module, dotted, modules

LIFECYCLE = "calls/lifecycle.py"
WITHOUT_MODELS = "agent_worker/realtime_emulator/"  # its responses have a status too, and are no rows
BIRTH = "calls/requests.py"  # where a call begins its life, in its first state
# What says where a call stands and how it ended.
STATE = {"status", "outcome", "ended_reason", "ended_at", "ended_by", "fault"}
# Other rows have these too: it is a call's if what holds it is called one. A status is a call's, whatever holds it.
OF_A_CALL = STATE | {"claim"}
WRITERS = {"update", "aupdate", "bulk_update", "abulk_update", "update_or_create", "aupdate_or_create"}
MAKERS = {"create", "acreate", "get_or_create", "aget_or_create", "bulk_create", "abulk_create"}


def assigned(module: Module) -> Iterator[str]:
    for target in assignments(module.tree):
        yield f"{module.at(target)} assigns {dotted(target)}"


def assignments(tree: ast.AST) -> Iterator[ast.Attribute]:
    """`call.status = …`, `self.call.claim = …`; an object's own attribute (`self.status`) is not a call's."""
    for target in ast.walk(tree):
        if isinstance(target, ast.Attribute) and isinstance(target.ctx, ast.Store):
            holder = dotted(target.value)
            is_a_call = holder.rpartition(".")[2].endswith("call")
            if (target.attr == "status" and holder != "self") or (target.attr in OF_A_CALL and is_a_call):
                yield target


def updated(module: Module) -> Iterator[str]:
    for call in module.calls():
        verb = dotted(call.func).rpartition(".")[2]
        named = {keyword.arg for keyword in call.keywords} & STATE
        saved = {
            element.value
            for keyword in call.keywords
            if keyword.arg == "update_fields" and isinstance(keyword.value, ast.List | ast.Tuple | ast.Set)
            for element in keyword.value.elts
            if isinstance(element, ast.Constant)
        } & STATE
        if (verb in WRITERS and named) or saved:
            yield f"{module.at(call)} writes {sorted(map(str, named | saved))}"


def born(module: Module) -> Iterator[str]:
    for call in module.calls():
        name = dotted(call.func)
        makes_a_call = name == "Call" or (name.startswith("Call.objects.") and name.rpartition(".")[2] in MAKERS)
        if makes_a_call and {keyword.arg for keyword in call.keywords} & STATE:
            yield f"{module.at(call)} makes a call in a state"


def test_the_lifecycle_alone_writes_a_calls_state() -> None:
    others = [module for module in modules() if module.where != LIFECYCLE and not module.where.startswith(WITHOUT_MODELS)]
    wrong = [where for module in others for rule in (assigned, updated) for where in rule(module)]
    wrong += [where for module in others if module.where != BIRTH for where in born(module)]
    assert wrong == []


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("call.status = x", 1),
        ("row.status = x", 1),
        ("self.call.outcome = x", 1),
        ("call.fault, call.ended_reason = x, y", 2),
        ("locked_call.claim: str = x", 1),
        ("self.status = x", 0),
        ("ending.outcome = x", 0),
        ("self.claim = call.claim", 0),
        ("call.note = x", 0),
    ],
)
def test_an_assignment_to_a_call_is_seen(statement: str, found: int) -> None:
    assert len(list(assignments(ast.parse(statement)))) == found

"""The settings file, .env.example and the code speak of the same settings."""

import ast
import re
from collections.abc import Iterator

from django.conf import global_settings

from .source import ROOT, dotted, modules

SETTINGS = ast.parse((ROOT / "chamada/settings.py").read_text())
EXAMPLE = (ROOT / ".env.example").read_text()
# Read by the libraries whose names they carry.
OF_LIBRARIES = re.compile(r"^(CORS|DJANGO_STRUCTLOG|PROCRASTINATE|RATELIMIT|REST_FRAMEWORK|SPECTACULAR|TASKS|UNFOLD|WHITENOISE)")
BY_DJANGO_WITHOUT_A_DEFAULT = {"ROOT_URLCONF", "ASGI_APPLICATION"}


def variables() -> Iterator[tuple[str, ast.Call]]:
    """Each `env.number("AGENT_MAX_CALLS", 8, …)` of the settings file, by its variable."""
    for node in ast.walk(SETTINGS):
        if isinstance(node, ast.Call) and dotted(node.func).startswith("env."):
            name = node.args[0]
            if isinstance(name, ast.Constant):
                yield str(name.value), node


def documented() -> dict[str, str]:
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))


def default_of(call: ast.Call) -> str:
    """The default as .env.example writes it; "" where the settings file computes it."""
    given = [*call.args[1:2], *(keyword.value for keyword in call.keywords if keyword.arg == "default")]
    if dotted(call.func) == "env.url":
        given = call.args[2:3]
    constants = [node.value for node in given if isinstance(node, ast.Constant)]
    return "".join(str(value).lower() if isinstance(value, bool) else str(value) for value in constants)


def test_env_example_names_every_variable_and_no_other() -> None:
    by_name = {name for name, _call in variables()} | {"FIELD_KEYS", "BLIND_INDEX_KEY"}
    assert set(documented()) == by_name


def test_env_example_shows_the_defaults() -> None:
    shown = documented()
    assert {name: shown[name] for name, _call in variables()} == {name: default_of(call) for name, call in variables()}


def test_every_variable_is_explained_above_its_line() -> None:
    lines = EXAMPLE.splitlines()
    alone = {name for name in documented() if not _explained(lines, name)}
    assert alone == {"LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "AGENT_METRICS_PORT", "API_RATE_PER_ADDRESS", "CALL_RATE_PER_ADDRESS"}


def _explained(lines: list[str], name: str) -> bool:
    at = next(number for number, line in enumerate(lines) if line.startswith(f"{name}="))
    return lines[at - 1].startswith("# ") and not lines[at - 1].startswith("# ---")


def test_every_setting_is_read_by_somebody() -> None:
    of_django = {name for name in dir(global_settings) if name.isupper()}
    own = {
        target.id
        for node in SETTINGS.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id.isupper()
    }
    in_the_file = " ".join(
        ast.unparse(node.value) for node in ast.walk(SETTINGS) if isinstance(node, ast.Assign | ast.AnnAssign) and node.value
    )
    code = "\n".join(module.text for module in modules() if module.where != "chamada/settings.py")
    unread = {
        name
        for name in own - of_django - BY_DJANGO_WITHOUT_A_DEFAULT
        if not OF_LIBRARIES.match(name) and not re.search(rf"settings\.{name}\b", code) and not re.search(rf"\b{name}\b", in_the_file)
    }
    assert unread == set()

"""Who may import whom: an app only what stands left of it, and each library only where it belongs."""

import subprocess
import sys

import pytest

from .source import APPS, ROOT, Module, is_within, modules

MAY_IMPORT = {
    "accounts": set(),
    "personas": {"accounts"},
    "contacts": {"accounts"},
    "calls": {"accounts", "personas", "contacts"},
    "agent_worker": {"accounts", "personas", "contacts", "calls"},
    "chamada": {"accounts", "personas", "contacts", "calls", "agent_worker"},
}
INTERFACES = ("api", "admin", "management", "webhooks")


def test_an_app_imports_only_apps_to_its_left() -> None:
    wrong = [
        f"{module.at(node)} imports {name}"
        for module in modules()
        for node, name in module.imports()
        for app in [name.split(".")[0]]
        if app in APPS and app != module.app and app not in MAY_IMPORT[module.app]
    ]
    assert wrong == []


def test_the_servers_api_of_livekit_is_spoken_by_the_gateway_alone() -> None:
    importers = {
        module.where for module in modules() for _node, name in module.imports() if is_within(name, "livekit.api", "livekit.protocol")
    }
    assert importers <= {"calls/gateway.py"}


def test_livekits_agents_are_known_to_the_worker_alone() -> None:
    apps = {
        module.app
        for module in modules()
        for _node, name in module.imports()
        if is_within(name, "livekit.agents", "livekit.plugins", "livekit.rtc", "numpy")
    }
    assert apps <= {"agent_worker"}


def interface_of(name: str) -> str:
    """`calls.api` of `calls.api.views.start`; "" of what is no interface."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] in APPS and len(parts) > 1 and parts[1] in INTERFACES else ""


def may_use(module: Module, interface: str) -> bool:
    # Where the product is put together all may be imported. The entrances of one app share how they read a request, and those
    # for staff, in all apps, share a base.
    own, (app, kind) = interface_of(module.name), interface.split(".")
    return module.app == "chamada" or (bool(own) and (module.app == app or own.endswith(f".{kind}")))


def test_nobody_imports_an_interface_from_outside() -> None:
    wrong = [
        f"{module.at(node)} imports {name}"
        for module in modules()
        for node, name in module.imports()
        if interface_of(name) and not may_use(module, interface_of(name))
    ]
    assert wrong == []


@pytest.mark.parametrize("leaf", ["calls.states", "calls.exceptions", "accounts.locales", "accounts.purposes"])
def test_the_leaves_know_no_model(leaf: str) -> None:
    module = next(module for module in modules() if module.name == leaf)
    assert [name for _node, name in module.imports() if is_within(name, *(f"{app}.models" for app in APPS))] == []


def test_the_web_process_loads_neither_the_agent_nor_numpy() -> None:
    program = "import chamada.asgi, sys; print([name for name in ('livekit.agents', 'livekit.rtc', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr

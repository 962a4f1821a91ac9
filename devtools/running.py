"""`dev.py run`: the product on this machine, in one terminal."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from .environment import HERE, PYTHON, STATE, environment, keys
from .terminal import Parts, say, supervise


def check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            sys.exit(f"Port {port} is taken by another program: python3 dev.py run --port {port + 1 if port < 65535 else 8000}")


def only_one(file: Path) -> int:
    """Hold a lock as long as we run: two agents would share health ports and calls."""
    file.parent.mkdir(exist_ok=True)
    lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit("dev.py run is running in this folder already.")
    return lock


def seed(site: str, env: dict[str, str]) -> dict[str, str]:
    command = [str(PYTHON), "manage.py", "seed_demo", "--migrate", "--site", site, "--credentials", str(STATE / "credentials.json")]
    seeded = subprocess.run(command, cwd=HERE, env=env, stdout=subprocess.PIPE, text=True, check=False)
    if seeded.returncode != 0:
        sys.exit(seeded.returncode)  # what is wrong stands above, in the command's own sentence
    demo: dict[str, str] = json.loads(seeded.stdout.splitlines()[-1])
    return demo


def summary(demo: dict[str, str]) -> list[str]:
    number = "+351910000001" if demo["line"] == "sandbox" else "+351…"
    body = json.dumps({"phone_number": number, "persona": "restaurante", "customer_name": "Ana"}, ensure_ascii=False)
    line = "sandbox: no phone rings" if demo["line"] == "sandbox" else "phone: write your own number"
    return [
        f"Everything is ready. Calls go to the line “{demo['line']}” ({line}).",
        f"  site      {demo['site']}",
        f"  admin     {demo['admin']}",
        f"  login     {demo['email']}  {demo['password'] or '(the password was changed in the admin)'}",
        f"  API key   {demo['api_key']}",
        f"  kept in   {STATE.name}/credentials.json",
        "A call:",
        f"  curl -X POST {demo['site']}api/start_call -H 'Authorization: Bearer {demo['api_key']}' \\",
        f"    -H 'Content-Type: application/json' -d '{body}'",
    ]


def run(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    lock = only_one(STATE / "lock")
    check_free(arguments.port)
    environment("requirements.txt")
    keys(STATE / "env")
    env = {"DEBUG": "true", **os.environ, "PYTHONUNBUFFERED": "1"}
    site = f"http://127.0.0.1:{arguments.port}/"
    parts = Parts()
    uvicorn = ["-m", "uvicorn", "chamada.asgi:application", "--host", "127.0.0.1", "--port", str(arguments.port)]
    # The web server loads while the data is brought up to date; what is wrong with a setting is told once, by the command.
    seeded = threading.Event()
    # TRUSTED_PROXY_HOPS alone says whose X-Forwarded-For counts, and requests have a log line of their own, without addresses.
    quiet = ["--no-proxy-headers", "--no-access-log", "--log-level", "warning"]
    web = [str(PYTHON), *uvicorn, *quiet, "--timeout-graceful-shutdown", "5"]
    parts.start("web", web, env, shown_after=seeded)
    try:
        demo = seed(site, env)
    except (SystemExit, KeyboardInterrupt):
        parts.stop(within_s=1)
        raise
    seeded.set()
    parts.watch_page("web", f"{site}health/")
    parts.start("agent", [str(PYTHON), "manage.py", "run_agent"], env, ready="agent ready")
    parts.start("queue", [str(PYTHON), "manage.py", "run_queue"], env)

    def ready(are_ready: set[str]) -> None:
        say(f"{' and '.join(sorted(are_ready))} ready after {time.monotonic() - started:.1f} s.")
        if are_ready == {"web", "agent"}:
            for line in summary(demo):
                say(line)

    try:
        return supervise(parts, ready)
    finally:
        os.close(lock)

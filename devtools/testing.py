"""`dev.py test` and `dev.py e2e`: style, types, tests, and the servers that whole calls need."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .environment import HERE, PYTHON, environment

TOOLS = HERE / ".tools/bin"
LIVEKIT_SERVER = "github.com/livekit/livekit-server/cmd/server@v1.13.5"
COVERAGE_BARS = ((100, ("accounts", "personas", "contacts", "calls")), (90, ("agent_worker",)))
ON_POSTGRESQL = (
    "tests/accounts",
    "tests/personas",
    "tests/contacts",
    "tests/calls",
    "tests/chamada",
    "tests/agent_worker/test_database.py",
)


class Steps:
    """Commands one after another; what fails is remembered, and the rest runs all the same."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.closing: list[str] = []

    def run(self, name: str, *command: str) -> None:
        print(f"\n$ {' '.join(command)}", flush=True)
        if subprocess.call([str(PYTHON), "-m", *command], cwd=HERE, stdin=subprocess.DEVNULL) != 0:
            self.failed.append(name)

    def pytest(self, name: str, *arguments: str, module: str = "pytest") -> None:
        """Run pytest, shown as it goes, and keep its closing line."""
        print(f"\n$ {module} {' '.join(arguments)}", flush=True)
        colour = ["--color=yes"] if sys.stdout.isatty() else []
        command = [str(PYTHON), "-m", module, *colour, *arguments]
        process = subprocess.Popen(command, cwd=HERE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace")
        assert process.stdout
        with process.stdout:
            for line in process.stdout:
                print(line, end="", flush=True)
                plain = re.sub(r"\x1b\[[\d;]*m", "", line)
                if re.search(r" in \d+\.\d+s", plain) and re.search(r"\d+ (passed|failed|errors?|skipped|deselected)", plain):
                    self.closing.append(plain)
        if process.wait() != 0:
            self.failed.append(name)

    def finish(self) -> int:
        """What failed, and, last, one closing line over all of pytest's runs. The exit code."""
        for name in self.failed:
            print(f"FAILED {name}")
        if self.closing:
            print(closing_line(self.closing))
        return 1 if self.failed else 0


def closing_line(lines: Sequence[str]) -> str:
    """pytest's closing lines as one: the counts and the seconds of all runs added up."""
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update({word.removesuffix("s"): int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", line.split(" in ")[0])})
    first = [word for word in ("failed", "passed", "skipped") if word in counts]
    told = ", ".join(f"{counts[word]} {word}" for word in [*first, *sorted(counts.keys() - set(first))])
    seconds = sum(float(found) for line in lines for found in re.findall(r" in (\d+\.\d+)s", line))
    return f"==== {told} in {seconds:.2f}s ===="


def test(arguments: argparse.Namespace) -> int:
    environment("requirements-dev.txt")
    steps = Steps()
    if arguments.live:
        steps.pytest("live tests", "-m", "live", *(arguments.pytest or ["tests/live"]))
        return steps.finish()
    if arguments.all:
        servers()
    if arguments.pytest:  # a part of the tests: neither style nor coverage says anything about it
        steps.pytest("tests", *arguments.pytest)
        return steps.finish()
    steps.run("style", "ruff", "check", ".")
    steps.run("format", "ruff", "format", "--check", ".")
    steps.run("types", "mypy")
    steps.pytest("tests", "-n", "2", "--cov", "--cov-report=")
    for bar, apps in COVERAGE_BARS:
        include = ",".join(f"{app}/*" for app in apps)
        steps.run(
            f"coverage {bar} %", "coverage", "report", f"--include={include}", f"--fail-under={bar}", "--skip-covered", "--show-missing"
        )
    if arguments.all:
        steps.pytest("tests on PostgreSQL", "-n", "2", *ON_POSTGRESQL, module="tests.on_postgresql")
        steps.pytest("end to end", "-m", "e2e", "tests")
    return steps.finish()


def e2e(arguments: argparse.Namespace) -> int:
    environment("requirements-dev.txt")
    servers()
    steps = Steps()
    names_a_file = any(Path(argument.split("::")[0]).exists() for argument in arguments.pytest)
    steps.pytest("end to end", "-m", "e2e", *arguments.pytest, *([] if names_a_file else ["tests/e2e"]))
    return steps.finish()


def servers() -> None:
    """PostgreSQL, Redis and livekit-server, installed where they are missing: as root, else said how."""
    debian = {"redis-server": shutil.which("redis-server"), "postgresql": [*Path("/usr/lib/postgresql").glob("*/bin/postgres")]}
    missing = [package for package, found in debian.items() if not found]
    if missing:
        apt = [["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", *missing]]
        if os.geteuid() != 0:
            sys.exit("The tests need programs that only root installs:\n" + "\n".join(f"  sudo {' '.join(command)}" for command in apt))
        for command in apt:
            if subprocess.call(command, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, stdin=subprocess.DEVNULL) != 0:
                sys.exit(f"“{' '.join(command)}” failed; the reason stands above.")
    if shutil.which("livekit-server") or (TOOLS / "livekit-server").exists():
        return
    if shutil.which("go") is None:
        sys.exit("livekit-server is built with Go 1.26 or newer, and there is no go here: https://go.dev/dl/")
    print(f"\n$ go install {LIVEKIT_SERVER}  (once, about two minutes)", flush=True)
    go = {**os.environ, "GOBIN": str(TOOLS), "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    if subprocess.call(["go", "install", LIVEKIT_SERVER], env=go, stdin=subprocess.DEVNULL) != 0:
        sys.exit("livekit-server could not be built; the reason stands above.")
    (TOOLS / "server").rename(TOOLS / "livekit-server")

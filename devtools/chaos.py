"""`dev.py chaos`: kills under calls, on real servers."""

from __future__ import annotations

import argparse
import subprocess

from .environment import HERE, PYTHON, environment
from .testing import servers


def chaos(arguments: argparse.Namespace) -> int:
    """The exit code: 1 when a promise to a callee was broken, or a step was not reached."""
    environment("requirements-dev.txt")
    servers()
    command = [str(PYTHON), "-m", "tests.chaos", str(arguments.kills), "--seed", str(arguments.seed)]
    command += [f"--{name}" for name in ("keep", "hurry") if getattr(arguments, name)]
    command += ["--folder", arguments.folder] if arguments.folder else []
    return subprocess.call(command, cwd=HERE, stdin=subprocess.DEVNULL)

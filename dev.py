#!/usr/bin/env python3
"""Everything a developer does here, with Python's standard library alone: `dev.py run`, `dev.py test`, `dev.py e2e`, `dev.py chaos`."""

from __future__ import annotations

import argparse
import os
import sys

from devtools.chaos import chaos
from devtools.environment import HERE, right_python
from devtools.running import run
from devtools.testing import e2e, test


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="{run,test,e2e,chaos}")
    one = commands.add_parser("run", help="the product on this machine, in one terminal")
    one.add_argument("--port", type=int, default=8000, choices=range(1, 65536), metavar="PORT")
    one.set_defaults(does=run)
    one = commands.add_parser("test", help="style, types and tests; what follows goes to pytest")
    one.add_argument("--all", action="store_true", help="also on PostgreSQL, Redis and livekit-server")
    one.add_argument("--live", action="store_true", help="talk to OpenAI with OPENAI_API_KEY; costs some cents")
    one.add_argument("pytest", nargs=argparse.REMAINDER)
    one.set_defaults(does=test)
    one = commands.add_parser("e2e", help="whole calls over LiveKit; what follows goes to pytest")
    one.add_argument("pytest", nargs=argparse.REMAINDER)
    one.set_defaults(does=e2e)
    one = commands.add_parser("chaos", help="kill processes under calls, and judge what came of it")
    one.add_argument("kills", type=int, metavar="N", help="how many kills; some 25 seconds each")
    one.add_argument("--seed", type=int, default=0, metavar="S", help="kill k follows from S + k (default 0)")
    one.add_argument("--keep", action="store_true", help="add the results to docs/operations/kills.md")
    one.add_argument("--hurry", action="store_true", help="callees hang up soon after all is back")
    one.add_argument("--folder", metavar="PATH", help="an empty folder for the processes' logs, to be read afterwards")
    one.set_defaults(does=chaos)
    arguments = parser.parse_args()
    if getattr(arguments, "pytest", [])[:1] == ["--"]:
        arguments.pytest = arguments.pytest[1:]
    right_python()
    os.chdir(HERE)
    try:
        code: int = arguments.does(arguments)
    except KeyboardInterrupt:
        return 130  # as shells say it
    return code


if __name__ == "__main__":
    sys.exit(main())

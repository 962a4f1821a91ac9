"""`python -m tests.chaos N [--seed S] [--keep]`: what `dev.py chaos` runs."""

import argparse
import asyncio
import sys
import time
from pathlib import Path

from . import report
from .run import kills


async def main(arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    results = []
    seeds = range(arguments.seed, arguments.seed + arguments.kills)
    async for result in kills(seeds, folder=arguments.folder, hurry=arguments.hurry):
        results.append(result)
        print(report.line(result), flush=True)
    print(f"\n{report.table(results)}\n\n{report.closing(results, seconds=time.monotonic() - began)}")
    if arguments.keep:
        report.keep(results)
    return 1 if any(result.breaches or result.trouble for result in results) else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, prog="dev.py chaos")
    parser.add_argument("kills", type=int, metavar="N", help="how many kills")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="kill k follows from S + k (default 0)")
    parser.add_argument("--keep", action="store_true", help="add the results to docs/operations/kills.md")
    parser.add_argument("--hurry", action="store_true", help="callees hang up soon after all is back: about twice as many kills an hour")
    parser.add_argument("--folder", type=Path, help="an empty folder for the processes' logs, to be read afterwards")
    sys.exit(asyncio.run(main(parser.parse_args())))

"""What an idle queue worker costs, on PostgreSQL: `python -m bench.idle [--seconds N]`.

CPU of `run_queue` with a phone line while nothing is due, each of its parts by its thread, and of the database's processes that serve it.
"""

import argparse
import base64
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.calls.livekit_api import fake_livekit
from tests.servers import Program, postgres_server
from tests.servers.process import REPOSITORY, started

from .figures import table
from .processes import Meter, children, cpu_s

SETTLES_S = 10.0


def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory(prefix="chamada-bench-") as name, postgres_server() as postgres, fake_livekit() as livekit:
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "DEBUG": "false",  # else Django keeps every statement
            "SECRET_KEY": secrets.token_urlsafe(40),
            "FIELD_KEYS": _key(),
            "BLIND_INDEX_KEY": _key(),
            "DATABASE_URL": postgres.create_database("bench"),
            "LIVEKIT_URL": livekit.url,
            "LIVEKIT_API_KEY": livekit.api_key,
            "LIVEKIT_API_SECRET": livekit.api_secret,
            "SIP_TRUNK_ID": "ST_known",
        }
        manage = [sys.executable, str(REPOSITORY / "manage.py")]
        subprocess.run([*manage, "migrate", "-v0"], check=True, env=environment)
        worker = Program(name="queue", command=[*manage, "run_queue"], folder=Path(name), environment=environment)
        with started(worker) as process:
            process.wait_until(lambda: "queue worker ready" in process.log.read_text(), within_s=60)
            time.sleep(SETTLES_S)
            threads = dict(re.findall(r"part=(\w+) thread=(\d+)", process.log.read_text()))
            before = {part: _thread_s(process.pid, thread) for part, thread in threads.items()}
            meter, database = Meter(process.pid), _with_children_s(postgres.process.pid)
            time.sleep(seconds)
            shares = {part: _thread_s(process.pid, thread) - before[part] for part, thread in threads.items()}
            shares["the database, for all of it"] = _with_children_s(postgres.process.pid) - database
            rows = [["run_queue", f"{meter.share():.2f} %"], *([part, f"{100 * used / seconds:.2f} %"] for part, used in shares.items())]
    print(table([f"idle for {seconds:g} s", "of a core"], rows))


def _key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _thread_s(pid: int, thread: str) -> float:
    """CPU seconds of one thread, to the nanosecond: its ticks of 10 ms would be as coarse as what is measured."""
    return int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0]) / 1e9


def _with_children_s(pid: int) -> float:
    return sum(cpu_s(process) for process in [pid, *children(pid)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    main(parser.parse_args().seconds)

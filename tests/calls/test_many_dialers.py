"""Four dialers, ten thousand calls of several organizations: no limit is ever exceeded, and each call is given out once."""

import base64
import json
import os
import secrets
import sys
from collections import deque
from contextlib import ExitStack
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from tests.servers import Program, postgres_server
from tests.servers.process import REPOSITORY, started

from . import counting_network as network
from .livekit_api import FakeLiveKit

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
CALLS = 10_000
DIALERS = 4


def test_no_limit_is_exceeded_by_several_dialers(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with postgres_server() as postgres:
        url = postgres.create_database("queue")
        environment = _environment(url)
        counting = [sys.executable, "-m", "tests.calls.counting_network", str(CALLS), str(report)]
        with started(Program(name="network", command=counting, folder=tmp_path, environment=environment)) as counter:
            counter.wait_until(lambda: "LIVEKIT_URL=" in counter.tail(), within_s=300)
            environment["LIVEKIT_URL"] = counter.tail().rpartition("LIVEKIT_URL=")[2].split()[0]
            with ExitStack() as stack:
                command = [sys.executable, str(REPOSITORY / "manage.py"), "run_queue"]
                for n in range(DIALERS):
                    stack.enter_context(started(Program(name=f"queue-{n}", command=command, folder=tmp_path, environment=environment)))
                counter.wait_until(report.exists, within_s=800)
        begun, dispatches = _seen(url)
    seen = json.loads(report.read_text())
    assert (seen["opened"], len(begun), dispatches) == ([[1, CALLS]], CALLS, CALLS)
    # Each limit was reached, and none was passed.
    shares = {"p0": network.SHARE_OF_THE_FIRST} | {f"p{n}": network.SHARE for n in range(1, network.ORGANIZATIONS)}
    assert seen["most"] == {"all": network.PLACES} | shares
    assert most_in_a_second(begun) <= network.CALLS_PER_SECOND
    assert min(later - one for one, later in pairwise(begun)) >= timedelta(seconds=1 / network.CALLS_PER_SECOND)


def _environment(database_url: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {
        "DJANGO_SETTINGS_MODULE": "chamada.settings",
        "PYTHONPATH": str(REPOSITORY),
        "DEBUG": "false",  # else Django keeps every statement
        "LOG_LEVEL": "WARNING",
        "SECRET_KEY": secrets.token_urlsafe(40),
        "FIELD_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "BLIND_INDEX_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "DATABASE_URL": database_url,
        "LIVEKIT_API_KEY": FakeLiveKit.api_key,
        "LIVEKIT_API_SECRET": FakeLiveKit.api_secret,
        "SIP_TRUNK_ID": "ST_known",
    }


def _seen(database_url: str) -> tuple[list[datetime], int]:
    """When each call was given out, by the database's clock, the first first; and how often any was."""
    with psycopg.connect(database_url) as connection:
        begun = [at for (at,) in connection.execute("SELECT dispatched_at FROM calls_call ORDER BY dispatched_at")]
        ((dispatches,),) = connection.execute("SELECT count(*) FROM calls_callevent WHERE new = 'dispatched'")
    return begun, dispatches


def most_in_a_second(begun: list[datetime]) -> int:
    window: deque[datetime] = deque()
    most = 0
    for at in begun:
        window.append(at)
        while at - window[0] >= timedelta(seconds=1):
            window.popleft()
        most = max(most, len(window))
    return most

"""`manage.py run_queue` as processes on a real PostgreSQL: what they share, what they lose when something dies (nothing), how they end."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.servers import PostgresServer, Process, Program, postgres_server
from tests.servers.process import REPOSITORY, find

from .engines import comes_true
from .livekit_api import FakeLiveKit, fake_livekit

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
MANAGE = [sys.executable, str(REPOSITORY / "manage.py")]
TABLES = "procrastinate_jobs, procrastinate_workers, procrastinate_events, procrastinate_periodic_defers"
SCHEDULED = """
import django; django.setup()
from datetime import timedelta
from django.utils import timezone
from calls.models import Line
from calls.states import Status
from tests.call_factories import make_call
from tests.factories import OrganizationFactory, published_version
from tests.numbers import pt_mobile
Line.objects.update(places=1000)
version = published_version(organization=OrganizationFactory())
now = timezone.now()
for n in range({count}):
    make_call(Status.SCHEDULED, version=version, number=pt_mobile(n), due_at=now + timedelta(seconds={after} + n * {apart}))
"""


@dataclass
class Site:
    """A database with everything migrated, a LiveKit at the wire, and queue workers."""

    postgres: PostgresServer
    livekit: FakeLiveKit
    environment: dict[str, str]
    folder: Path
    stack: ExitStack

    def python(self, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, *arguments], check=False, cwd=REPOSITORY, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    def schedule(self, count: int, *, after_s: float, apart_s: float) -> None:
        """So many calls, due one after the other, the first in `after_s`."""
        self.python("-c", SCHEDULED.format(count=count, after=after_s, apart=apart_s))

    def ask(self, sql: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.environment["DATABASE_URL"], autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def statuses(self) -> dict[object, object]:
        return dict(self.ask("SELECT status, count(*) FROM calls_call GROUP BY status"))  # type: ignore[arg-type]

    def worker(self, name: str) -> Process:
        program = Program(name=name, command=[*MANAGE, "run_queue"], folder=self.folder, environment=self.environment)
        process = Process(program, self.folder / f"{name}.log")
        self.stack.callback(process.stop)
        process.wait_until(lambda: "queue worker ready" in process.log.read_text(), within_s=60)
        return process


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        postgres, livekit = stack.enter_context(postgres_server()), stack.enter_context(fake_livekit())
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "DJANGO_SETTINGS_MODULE": "chamada.settings",
            "DEBUG": "true",
            "SECRET_KEY": "one for all processes of this test",
            "DATABASE_URL": postgres.create_database("queue"),
            "LIVEKIT_URL": livekit.url,
            "LIVEKIT_API_KEY": livekit.api_key,
            "LIVEKIT_API_SECRET": livekit.api_secret,
            "SIP_TRUNK_ID": "ST_known",
            "PYTHONUNBUFFERED": "1",
        }
        it = Site(postgres, livekit, environment, tmp_path, stack)
        it.python(str(REPOSITORY / "manage.py"), "migrate", "-v0")
        yield it


def opened(site: Site) -> Counter[str]:
    return Counter(request.name for request in site.livekit.asked_for("CreateRoom"))


def test_wiping_the_engines_tables_in_the_middle_of_the_work_loses_no_call(site: Site) -> None:
    count = 60
    workers = [site.worker("first"), site.worker("second")]
    site.schedule(count, after_s=2, apart_s=0.1)

    def all_given_out() -> bool:
        site.ask(f"TRUNCATE {TABLES}")
        return site.statuses() == {"dispatched": count}

    assert comes_true(all_given_out, within_s=60), site.statuses()
    assert comes_true(lambda: len(opened(site)) == count)
    # Each once, and by both workers.
    assert set(opened(site).values()) == {1}
    moved = [worker.log.read_text().count("new=dispatched") for worker in workers]
    assert (sum(moved), min(moved) > 0) == (count, True)


def test_when_a_worker_is_killed_in_the_middle_the_other_does_the_rest(site: Site) -> None:
    count = 40
    first, _second = site.worker("first"), site.worker("second")
    site.schedule(count, after_s=1, apart_s=0.1)
    assert comes_true(lambda: int(str(site.statuses().get("dispatched", 0))) > count // 4, within_s=60)
    first.signal(signal.SIGKILL)
    assert comes_true(lambda: site.statuses() == {"dispatched": count}, within_s=60), site.statuses()
    # A call that the dead one had claimed, and had not asked LiveKit for yet, is the reconciler's.
    assert set(opened(site).values()) == {1}


def test_a_worker_waits_for_a_database_that_is_away_and_comes_back(site: Site) -> None:
    worker = site.worker("worker")
    site.schedule(1, after_s=0, apart_s=0)
    assert comes_true(lambda: site.statuses() == {"dispatched": 1}, within_s=60)
    site.postgres.process.stop()
    # Its parts notice.
    noticed = ("part=engine", "a step failed")
    assert comes_true(lambda: all(words in worker.log.read_text() for words in noticed), within_s=60), worker.tail()
    again = Process(site.postgres.process.program, site.postgres.process.log)
    site.stack.callback(again.stop)
    ready = [find("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(site.postgres.port)]
    again.wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, within_s=60)
    site.ask("UPDATE calls_call SET status = 'scheduled', dispatched_at = NULL, claim = ''")
    assert comes_true(lambda: site.statuses() == {"dispatched": 1}, within_s=60), worker.tail()


@pytest.mark.parametrize("database_is_away", [False, True], ids=["at work", "database away"])
def test_sigterm_ends_it_within_seconds(site: Site, database_is_away: bool) -> None:
    worker = site.worker("worker")
    assert comes_true(lambda: site.ask("SELECT 1 FROM procrastinate_workers"))
    if database_is_away:
        site.postgres.process.stop()
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.popen.wait(16 if database_is_away else 5) == 0, worker.tail()
    if not database_is_away:
        assert site.ask("SELECT 1 FROM procrastinate_workers") == []

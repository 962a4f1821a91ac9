"""One key, many clients, two web processes on a real PostgreSQL, and one of them dies or stands still in the middle of the first answer."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from tests.numbers import pt_mobile
from tests.servers import Process, Program, postgres_server
from tests.servers.ports import LOOPBACK, answers, free_port
from tests.servers.process import REPOSITORY, started

from ..engines import comes_true

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
CLIENTS = 32
ORDER = {"phone_number": pt_mobile(), "persona": "restaurante", "customer_name": "Ana"}
OTHER_ORDER = {**ORDER, "customer_name": "Rui"}


@dataclass
class Web:
    """A web process; its database connections bear its name."""

    name: str
    process: Process
    port: int
    api_key: str

    def ask(self, key: str, order: dict[str, str]) -> httpx2.Response | None:
        """The answer; None when the process died over it."""
        headers = {"Authorization": f"Bearer {self.api_key}", "Idempotency-Key": key}
        try:
            return httpx2.post(f"http://{LOOPBACK}:{self.port}/api/start_call", json=order, headers=headers, timeout=60)
        except httpx2.TransportError:
            return None


@dataclass
class Site:
    database_url: str
    webs: list[Web]

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            return connection.execute(sql).fetchall()

    @contextmanager
    def nobody_can_write_a_call(self) -> Iterator[None]:
        """Who has the key gets no further than this, and keeps it."""
        with psycopg.connect(self.database_url) as connection:
            connection.execute("LOCK TABLE calls_call IN SHARE MODE")
            yield

    def writing(self) -> list[str]:
        """The web processes that stand before that lock."""
        statement = 'INSERT INTO "calls_call"%'
        found = self.ask(f"SELECT application_name FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '{statement}'")
        return [name for (name,) in found]

    def waiting_for_the_key(self) -> int:
        statement = 'INSERT INTO "calls_idempotencyrecord"%'
        ((count,),) = self.ask(f"SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '{statement}'")
        return int(count)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("webs")
    with ExitStack() as stack:
        database_url = stack.enter_context(postgres_server()).create_database("webs")
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "DEBUG": "true",
            "SECRET_KEY": "one for all processes of this test",
            "DATABASE_URL": database_url,
            **dict.fromkeys(("API_RATE_PER_KEY", "API_RATE_PER_ADDRESS", "CALL_RATE_PER_KEY", "CALL_RATE_PER_ADDRESS"), "10000/m"),
            "WEB_THREADS": str(CLIENTS),
        }
        credentials = folder / "credentials.json"
        seed = [sys.executable, str(REPOSITORY / "manage.py"), "seed_demo", "--migrate", "--site", "http://127.0.0.1/"]
        subprocess.run([*seed, "--credentials", str(credentials)], check=True, env=environment, capture_output=True)
        api_key = json.loads(credentials.read_text())["api_key"]

        def web(name: str) -> Web:
            port = free_port()
            command = [sys.executable, "-m", "uvicorn", "chamada.asgi:application", "--app-dir", str(REPOSITORY)]
            command += ["--host", LOOPBACK, "--port", str(port)]
            program = Program(name=name, command=command, folder=folder, environment={**environment, "PGAPPNAME": name})
            process = stack.enter_context(started(program))
            process.wait_until(lambda: answers(port, b"GET /health/ HTTP/1.0\r\n\r\n", b"200"), within_s=60)
            return Web(name, process, port, api_key)

        yield Site(database_url, [web(f"web-{name}") for name in "abcd"])


def said(future: "Future[httpx2.Response | None]") -> tuple[int, dict[str, Any]]:
    answer = future.result(60)
    assert answer is not None
    return answer.status_code, answer.json()


def calls_of(site: Site, key: str) -> list[str]:
    """Every call that was made in the key's name, whether the key remembers it or not."""
    found = site.ask(f"SELECT c.id FROM calls_call c JOIN calls_idempotencyrecord r ON r.call_id = c.id WHERE r.key = '{key}'")
    ((every,),) = site.ask("SELECT count(*) FROM calls_call")
    ((kept,),) = site.ask("SELECT count(*) FROM calls_idempotencyrecord")
    assert every == kept, "no call without its key"
    return [str(call_id) for (call_id,) in found]


def test_while_a_process_stands_still_the_others_wait_five_seconds_and_are_told_when_to_ask_again(site: Site) -> None:
    still, other = site.webs[0], site.webs[1]
    with ThreadPoolExecutor(CLIENTS) as clients:
        with site.nobody_can_write_a_call():
            first = clients.submit(still.ask, "still", ORDER)
            assert comes_true(lambda: site.writing() == ["web-a"])
            os.kill(still.process.pid, signal.SIGSTOP)
        began = time.monotonic()
        refused = [future.result(60) for future in [clients.submit(other.ask, "still", ORDER) for _ in range(CLIENTS - 1)]]
        took = time.monotonic() - began
        os.kill(still.process.pid, signal.SIGCONT)
        status, answer = said(first)
    told = Counter((it.status_code, it.json()["code"], it.headers["Retry-After"]) for it in refused if it is not None)
    assert told == {(409, "idempotency.in_progress", "1"): CLIENTS - 1}
    assert 4.5 < took < 10
    assert (status, calls_of(site, "still")) == (202, [answer["id"]])
    again = other.ask("still", ORDER)
    assert again is not None
    assert (again.status_code, again.json(), again.headers["Idempotent-Replayed"]) == (202, answer, "true")


def test_a_process_that_is_killed_over_the_first_answer_makes_no_second_call(site: Site) -> None:
    webs = site.webs[2:]
    with ThreadPoolExecutor(CLIENTS) as clients:
        with site.nobody_can_write_a_call():
            asked = [(web, clients.submit(web.ask, "kill", ORDER)) for web in webs * (CLIENTS // 2)]
            assert comes_true(lambda: len(site.writing()) == 1 and site.waiting_for_the_key() == CLIENTS - 1)
            (victim,) = [web for web in webs if site.writing() == [web.name]]
            (survivor,) = [web for web in webs if web is not victim]
            victim.process.signal(signal.SIGKILL)
        given = [said(future) for web, future in asked if web is survivor]
        lost = [future.result(60) for web, future in asked if web is victim]
        assert lost == [None] * (CLIENTS // 2)
        # Who got no answer asks again, as the key is there for.
        given += [said(future) for future in [clients.submit(survivor.ask, "kill", ORDER) for _ in lost]]
    assert {status for status, _body in given} == {202}
    answer = given[0][1]
    assert [body for _status, body in given] == [answer] * CLIENTS
    assert calls_of(site, "kill") == [answer["id"]]


def test_the_key_of_another_body_is_refused_whatever_process_is_asked(site: Site) -> None:
    accepted, other = site.webs[0].ask("body", ORDER), site.webs[1].ask("body", OTHER_ORDER)
    assert accepted is not None
    assert other is not None
    assert (accepted.status_code, other.status_code, other.json()["code"]) == (202, 422, "idempotency.other_body")
    assert calls_of(site, "body") == [accepted.json()["id"]]


def test_a_refusal_is_not_kept_whatever_process_is_asked(site: Site) -> None:
    refused = site.webs[0].ask("refusal", {**ORDER, "persona": "nobody"})
    accepted = site.webs[1].ask("refusal", ORDER)
    assert refused is not None
    assert accepted is not None
    assert (refused.status_code >= 400, accepted.status_code, len(calls_of(site, "refusal"))) == (True, 202, 1)

"""The queue worker hears that something is due: at once on PostgreSQL, by looking on SQLite."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest
from django.db import OperationalError, connection, transaction

from calls import doorbell
from calls.doorbell import Doorbell

# Longer than any of these waits may take when it rang.
LONG_S = 20.0
on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite carries no ring")
on_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL waits for a ring")


@on_sqlite
@pytest.mark.django_db
def test_on_sqlite_one_looks_ten_times_a_second() -> None:
    doorbell.ring()
    listener = Doorbell(threading.Event())
    before = time.monotonic()
    listener.wait(LONG_S)
    assert 0.09 < time.monotonic() - before < 5
    listener.close()


@on_sqlite
@pytest.mark.django_db
def test_on_sqlite_who_is_told_to_stop_stops_at_once() -> None:
    stop = threading.Event()
    stop.set()
    before = time.monotonic()
    Doorbell(stop).wait(LONG_S)
    assert time.monotonic() - before < 5


@pytest.mark.django_db(transaction=True)
def test_it_wakes_for_what_nobody_rings_for() -> None:
    listener = Doorbell(threading.Event())
    listener.wake_in(LONG_S)
    listener.wake_in(0.01)
    before = time.monotonic()
    listener.wait(LONG_S)
    assert 0.005 < time.monotonic() - before < 5
    listener.close()


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_ring_is_heard_when_its_transaction_commits() -> None:
    listener = Doorbell(threading.Event())
    listener.wait(0.01)
    heard = threading.Event()

    def listen() -> None:
        listener.wait(LONG_S)
        heard.set()
        listener.close()

    # The connection is used by one thread at a time.
    listener._connection.inc_thread_sharing()  # type: ignore[union-attr]
    thread = threading.Thread(target=listen)
    thread.start()
    with transaction.atomic():
        doorbell.ring()
        assert not heard.wait(0.3)
    assert heard.wait(LONG_S)
    thread.join()


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_ring_while_nobody_waits_is_heard_afterwards() -> None:
    listener = Doorbell(threading.Event())
    listener.wait(0.01)
    doorbell.ring()
    before = time.monotonic()
    listener.wait(LONG_S)
    assert time.monotonic() - before < 5
    listener.close()


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_lost_connection_is_made_anew() -> None:
    told_to_stop = threading.Event()
    told_to_stop.set()  # so that it does not rest after the error
    listener = Doorbell(told_to_stop)
    listener.wait(0.01)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%' AND pid <> pg_backend_pid()")
    listener.wait(LONG_S)
    assert listener._connection is None
    listener.wait(0.01)
    doorbell.ring()
    before = time.monotonic()
    listener.wait(LONG_S)
    assert time.monotonic() - before < 5
    listener.close()


class Bell:
    """A connection to PostgreSQL as the doorbell uses it; the tests above hold it to the real one."""

    vendor = "postgresql"
    wrap_database_errors = nullcontext()

    def __init__(self) -> None:
        self.executed: list[str] = []
        self.rings: list[object] = []
        self.is_lost = self.is_closed = False
        self.connection = self

    def cursor(self) -> AbstractContextManager["Bell"]:
        return nullcontext(self)

    def execute(self, sql: str) -> None:
        self.executed.append(sql)

    def notifies(self, *, timeout: float, stop_after: int) -> Iterator[object]:
        if self.is_lost:
            raise OperationalError("terminating connection")
        yield from self.rings[:stop_after]

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def bells(monkeypatch: pytest.MonkeyPatch) -> list[Bell]:
    made: list[Bell] = []

    def create_connection(_alias: str) -> Bell:
        made.append(Bell())
        return made[-1]

    monkeypatch.setattr(doorbell, "connection", Bell())
    monkeypatch.setattr(doorbell.connections, "create_connection", create_connection)
    return made


def test_one_connection_listens_as_long_as_it_lives(bells: list[Bell]) -> None:
    told_to_stop = threading.Event()
    told_to_stop.set()
    listener = Doorbell(told_to_stop)
    listener.wait(LONG_S)
    bells[0].rings = ["ring"]
    listener.wait(LONG_S)
    assert (len(bells), bells[0].executed) == (1, ["LISTEN chamada_calls"])
    bells[0].is_lost = True
    listener.wait(LONG_S)
    assert bells[0].is_closed
    listener.wait(LONG_S)
    assert (len(bells), bells[1].is_closed) == (2, False)
    listener.close()
    assert bells[1].is_closed


def test_a_ring_is_one_statement(bells: list[Bell]) -> None:
    doorbell.ring()
    assert doorbell.connection.executed == ["NOTIFY chamada_calls"]  # type: ignore[attr-defined]

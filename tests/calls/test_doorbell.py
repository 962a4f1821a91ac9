"""The queue worker hears that something is due: at once on PostgreSQL, by looking on SQLite."""

import threading
import time

import pytest
from django.db import connection, transaction

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
    assert 0.09 < time.monotonic() - before < 2
    listener.close()


@on_sqlite
@pytest.mark.django_db
def test_on_sqlite_who_is_told_to_stop_stops_at_once() -> None:
    stop = threading.Event()
    stop.set()
    before = time.monotonic()
    Doorbell(stop).wait(LONG_S)
    assert time.monotonic() - before < 0.05


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
    listener = Doorbell(threading.Event())
    listener.wait(0.01)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%' AND pid <> pg_backend_pid()")
    listener.wait(0.01)
    assert listener._connection is None
    listener.wait(0.01)
    doorbell.ring()
    before = time.monotonic()
    listener.wait(LONG_S)
    assert time.monotonic() - before < 5
    listener.close()

"""What is due is told by the database's clock: a machine's own may be a minute off."""

from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from calls import clock, lifecycle, places
from calls.models import Call, Line, LineKind
from personas.models import PersonaVersion
from tests.call_factories import make_call

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no clock but its machine's")


class Postgres:
    """A connection to PostgreSQL as the clock uses it; the tests below ask the real one."""

    vendor = "postgresql"
    now = datetime.fromisoformat("2026-11-24T10:00:00Z")

    def cursor(self) -> AbstractContextManager["Postgres"]:
        return nullcontext(self)

    def execute(self, sql: str) -> None:
        assert sql == "SELECT statement_timestamp()"

    def fetchone(self) -> tuple[datetime]:
        return (self.now,)


def test_postgresql_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "connection", Postgres())
    assert clock.database_now() == Postgres.now
    assert clock.now_in_words() == ("statement_timestamp()", {})


@on_postgresql
@pytest.mark.django_db
def test_time_goes_on_within_a_transaction() -> None:
    with transaction.atomic():
        assert clock.database_now() < clock.database_now()


@on_postgresql
@pytest.mark.django_db
@pytest.mark.parametrize("off", [timedelta(minutes=-1), timedelta(minutes=1)], ids=["slow", "fast"])
def test_a_web_server_whose_clock_is_off_makes_calls_that_are_due_now(
    persona_version: PersonaVersion, monkeypatch: pytest.MonkeyPatch, off: timedelta
) -> None:
    right = timezone.now
    call = make_call(version=persona_version)
    Call.objects.all().delete()
    Line.objects.update_or_create(kind=LineKind.PHONE, defaults={"calls_per_second": None})
    monkeypatch.setattr(timezone, "now", lambda: right() + off)
    call.created_at = call.due_at = timezone.now()
    lifecycle.start(call, by="key:1")
    (taken,) = places.take(LineKind.PHONE, by="dialer", may_still=lambda *_: True).calls
    assert taken.dispatched_at is not None
    assert abs(taken.dispatched_at - right()) < timedelta(seconds=10)

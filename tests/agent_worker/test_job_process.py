"""What a job process has ready before it gets its call."""

import pytest
from asgiref.sync import SyncToAsync
from django.db import OperationalError, connection
from livekit.agents.utils import http_context

from agent_worker import job_process, warm  # noqa: F401  # warm: what the forkserver has done for all job processes
from calls import lifecycle


async def test_a_job_finds_the_tls_context_of_its_sessions_made() -> None:
    made = http_context._ssl_context_for.cache_info().misses
    async with http_context.open() as session:
        assert not session.closed
    assert http_context._ssl_context_for.cache_info().misses == made


@pytest.mark.django_db
def test_a_connection_that_waits_for_its_call_is_not_thrown_away_for_its_age() -> None:
    connection.close_at = 1.0
    job_process._look_for_a_call()
    assert connection.close_at is None


def test_a_database_that_is_away_is_met_later(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def away(*, by: str, **_: object) -> None:
        asked.append(by)
        raise OperationalError

    monkeypatch.setattr(lifecycle, "claim_for_dial", away)
    job_process.meet_the_database()
    # One thread does all of it, in order.
    assert SyncToAsync.single_thread_executor.submit(len, asked).result(timeout=10) == 1
    assert asked == ["nobody"]

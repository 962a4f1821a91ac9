"""What was said is written, whatever the database does meanwhile."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.db.backends.utils import CursorWrapper

from agent_worker import journal as journals
from agent_worker import spool
from agent_worker.endings import Ending, after_answer
from agent_worker.journal import DatabaseAway, Journal, in_database_before
from calls import lifecycle
from calls.models import Call, TurnRole
from calls.states import EndedBy, Outcome, Reason
from calls.transcripts import TurnDraft
from contacts.models import Suppression
from tests.agent_worker.calling import dispatched_call
from tests.agent_worker.waiting import until
from tests.factories import MembershipFactory, published_version

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def call(transactional_db: None) -> Call:
    return dispatched_call(published_version(organization=MembershipFactory().organization, slug="restaurante"))


class Outage:
    """The database at the wire: while it is away every statement fails."""

    def __init__(self) -> None:
        self.away = False
        self.failed = 0


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Outage]:
    outage = Outage()
    execute: Callable[..., Any] = CursorWrapper.execute

    def execute_or_fail(self: CursorWrapper, *arguments: Any) -> Any:
        if outage.away:
            outage.failed += 1
            raise OperationalError("server closed the connection unexpectedly")
        return execute(self, *arguments)

    monkeypatch.setattr(CursorWrapper, "execute", execute_or_fail)
    yield outage
    outage.away = False


def turn(number: int, text: str = "") -> TurnDraft:
    return TurnDraft(item_id=f"item_{number}", role=TurnRole.USER, text=text or f"turn {number}", started_at=AT + timedelta(seconds=number))


async def texts(call: Call) -> list[str]:
    return await sync_to_async(lambda: [each.text for each in call.turns.order_by("started_at")])()


def soon() -> float:
    return asyncio.get_running_loop().time() + 5


async def test_turns_are_written_in_the_order_in_which_they_were_said(call: Call) -> None:
    journal = Journal(str(call.pk))
    journal.open()
    for number in range(20):
        journal.write(turn(number))
    assert await journal.close(soon()) == []
    assert await texts(call) == [f"turn {number}" for number in range(20)]


async def test_a_turn_that_is_told_again_is_corrected(call: Call) -> None:
    journal = Journal(str(call.pk))
    journal.open()
    journal.write(turn(1, "as it ran"))
    journal.write(turn(1, "as it ended"))
    assert await journal.close(soon()) == []
    assert await texts(call) == ["as it ended"]


async def test_turns_wait_for_a_database_that_is_away(call: Call, outage: Outage) -> None:
    journal = Journal(str(call.pk))
    journal.open()
    outage.away = True
    for number in range(3):
        journal.write(turn(number))
    await until(lambda: outage.failed >= 3)
    outage.away = False
    assert await journal.close(soon()) == []
    assert await texts(call) == ["turn 0", "turn 1", "turn 2"]


async def test_what_cannot_be_written_in_time_is_given_back(call: Call, outage: Outage) -> None:
    journal = Journal(str(call.pk))
    journal.open()
    journal.write(turn(0))
    await until(lambda: not journal._waiting)
    outage.away = True
    journal.write(turn(1))
    assert await journal.close(asyncio.get_running_loop().time() + 0.3) == [turn(1)]
    outage.away = False
    assert await texts(call) == ["turn 0"]


async def test_a_journal_that_was_never_opened_gives_everything_back(call: Call) -> None:
    journal = Journal(str(call.pk))
    journal.write(turn(1))
    assert await journal.close(0.0) == [turn(1)]


async def test_a_database_that_does_not_answer_is_away(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "ONE_WRITE_S", 0.01)
    with pytest.raises(DatabaseAway):
        await in_database_before(asyncio.get_running_loop().time() + 0.05, time.sleep, 0.1)


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.JOURNAL_SPOOL = tmp_path / "spool"
    return settings.JOURNAL_SPOOL


def keep(call: Call, *, ending: Ending | None = None, suppression: str | None = None) -> Path:
    return spool.keep(str(call.pk), claim=call.claim, turns=[turn(2), turn(1)], ending=ending, suppression=suppression)


ANSWERED = after_answer(Reason.CALLEE_HANGUP, EndedBy.CALLEE).with_columns(usage={"model": {"output_tokens": 7}})


def test_what_was_kept_on_disk_is_written_once_the_database_is_back(call: Call, folder: Path) -> None:
    ending = Ending(**{**ANSWERED.as_json(), "answered_at": AT.isoformat()})
    keep(call, ending=ending, suppression="opt_out_on_call")
    assert (spool.replay(), spool.replay(), list(folder.iterdir())) == (1, 0, [])
    call.refresh_from_db()
    assert (call.status, call.outcome, call.ended_reason, call.answered_at) == ("ended", "answered", "callee.hangup", AT)
    assert call.usage == {"model": {"output_tokens": 7}}
    assert [each.text for each in call.turns.order_by("started_at")] == ["turn 1", "turn 2"]
    assert Suppression.objects.get().number_index == call.number_index


def test_nobody_else_can_read_what_is_on_disk(call: Call, folder: Path) -> None:
    path = keep(call)
    assert (path.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    assert "turn 1" not in path.read_text()
    with pytest.raises(json.JSONDecodeError):
        json.loads(path.read_text())


def test_a_call_that_somebody_ended_meanwhile_keeps_that_end_and_gets_its_turns(call: Call, folder: Path) -> None:
    keep(call, ending=ANSWERED)
    lifecycle.end(call, by="user:1", outcome=Outcome.CANCELED, reason="staff.canceled")
    assert spool.replay() == 1
    call.refresh_from_db()
    assert (call.ended_reason, call.turns.count(), call.usage) == ("staff.canceled", 2, {"model": {"output_tokens": 7}})


def test_a_file_that_cannot_be_decrypted_is_set_aside(call: Call, folder: Path) -> None:
    keep(call).write_text("v1.unknown.AAAA")
    assert spool.replay() == 0
    assert [path.suffix for path in folder.iterdir()] == [".unreadable"]


def test_the_journal_of_a_call_that_was_erased_is_dropped(call: Call, folder: Path) -> None:
    keep(call)
    Call.objects.all().delete()
    assert (spool.replay(), list(folder.iterdir())) == (1, [])


def test_a_machine_that_kept_nothing_has_nothing_to_replay(folder: Path) -> None:
    assert spool.replay() == 0


def test_files_stay_while_the_database_is_away(call: Call, folder: Path, outage: Outage) -> None:
    keep(call)
    outage.away = True
    with pytest.raises(OperationalError):
        spool.replay()
    outage.away = False
    assert spool.replay() == 1

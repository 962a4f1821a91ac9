"""What the database does not take is on disk before anybody can die of it, and comes from there to the database."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from agent_worker import backlog as backlogs
from agent_worker import spool
from agent_worker.backlog import Backlog
from agent_worker.endings import after_answer
from agent_worker.journal import Journal
from agent_worker.spool import Page
from calls.models import Call
from calls.states import EndedBy, Reason
from calls.transcripts import TurnDraft
from tests.agent_worker.calling import dispatched_call
from tests.agent_worker.outages import Outage, turn
from tests.agent_worker.waiting import until
from tests.factories import MembershipFactory, published_version


@pytest.fixture
def call(transactional_db: None) -> Call:
    return dispatched_call(published_version(organization=MembershipFactory().organization, slug="restaurante"))


@pytest.fixture
def folder(spool_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(backlogs, "KEPT_AFTER_S", 0.0)
    monkeypatch.setattr(backlogs, "LOOKS_EVERY_S", 0.01)
    monkeypatch.setattr(backlogs, "REPLAYS_EVERY_S", 0.01)
    return spool_folder


def backlog_of(call: Call, turns: list[TurnDraft]) -> Backlog:
    return Backlog(str(call.pk), lambda: Page(call=str(call.pk), claim=call.claim, turns=tuple(turns)))


def on_disk(folder: Path) -> list[Path]:
    return sorted(folder.glob("*")) if folder.exists() else []


async def texts(call: Call) -> list[str]:
    return await sync_to_async(lambda: [each.text for each in call.turns.order_by("started_at")])()


async def test_what_waits_for_a_moment_only_never_sees_the_disk(call: Call, spool_folder: Path) -> None:
    waiting = [turn(1)]
    backlog = backlog_of(call, waiting)
    await backlog.look()
    waiting.clear()
    await backlog.look()
    await backlog.close(None)
    assert on_disk(spool_folder) == []


async def test_a_turn_that_waits_is_on_disk_and_leaves_it_when_it_is_written(call: Call, folder: Path, outage: Outage) -> None:
    journal = Journal(str(call.pk))
    backlog = Backlog(str(call.pk), lambda: Page(call=str(call.pk), claim=call.claim, turns=tuple(journal.waiting)))
    journal.before_writing = backlog.catch_up
    journal.open()
    watching = asyncio.create_task(backlog.watch())
    outage.away = True
    journal.write(turn(1))
    await until(lambda: len(on_disk(folder)) == 1)
    journal.write(turn(2))
    await until(lambda: backlog._on_disk is not None and len(backlog._on_disk.turns) == 2)
    outage.away = False
    await until(lambda: on_disk(folder) == [])
    watching.cancel()
    assert await journal.close(asyncio.get_running_loop().time() + 5) == []
    assert await texts(call) == ["turn 1", "turn 2"]


async def test_what_a_job_had_said_when_it_was_killed_in_an_outage_is_not_lost(call: Call, folder: Path, outage: Outage) -> None:
    outage.away = True
    backlog = backlog_of(call, [turn(1), turn(2)])
    await backlog.look()
    assert await backlogs.replay() == 0  # its job holds it
    backlog._file.let_go()  # as the kernel does for the dead
    replaying = asyncio.create_task(backlogs.replay_for_ever())
    await until(lambda: outage.failed > 1)
    outage.away = False
    await until(lambda: on_disk(folder) == [])
    replaying.cancel()
    assert await texts(call) == ["turn 1", "turn 2"]


async def test_the_disk_is_never_older_than_the_database(call: Call, folder: Path) -> None:
    """Else a replay would put the earlier words of a turn in the place of the later ones."""
    waiting = [turn(1, "as it ran")]
    backlog = backlog_of(call, waiting)
    await backlog.look()
    waiting.append(turn(1, "as it ended"))
    await backlog.catch_up()
    await sync_to_async(spool.record)(call.pk, turn(1, "as it ended"))
    backlog._file.let_go()
    assert await backlogs.replay() == 1
    assert await texts(call) == ["as it ended"]


async def test_the_end_of_a_call_that_cannot_be_written_is_left_to_others(call: Call, folder: Path) -> None:
    backlog = backlog_of(call, [turn(1)])
    await backlog.close(after_answer(Reason.CALLEE_HANGUP, EndedBy.CALLEE))
    assert await backlogs.replay() == 1
    await sync_to_async(call.refresh_from_db)()
    assert (call.status, call.ended_reason, await texts(call)) == ("ended", "callee.hangup", ["turn 1"])


async def test_a_disk_that_is_full_does_not_end_the_call(call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: Any, _page: Page) -> None:
        raise OSError(28, "No space left on device")

    waiting = [turn(1)]
    backlog = backlog_of(call, waiting)
    with monkeypatch.context() as disk:
        disk.setattr(spool.SpoolFile, "write", full)
        await backlog.look()
        await backlog.catch_up()
    assert on_disk(folder) == []
    await backlog.close(None)
    assert len(on_disk(folder)) == 1


async def test_replaying_waits_for_a_database_that_is_away(call: Call, folder: Path, outage: Outage) -> None:
    await backlog_of(call, [turn(1)]).close(None)
    outage.away = True
    assert await backlogs.replay() == 0
    outage.away = False
    assert (await backlogs.replay(), await texts(call)) == (1, ["turn 1"])

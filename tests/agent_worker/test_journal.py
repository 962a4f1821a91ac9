"""What was said is written, whatever the database does meanwhile."""

import asyncio

import pytest
from asgiref.sync import sync_to_async

from agent_worker.journal import Journal
from calls.models import Call
from tests.agent_worker.calling import dispatched_call
from tests.agent_worker.outages import Outage, turn
from tests.agent_worker.waiting import until
from tests.factories import MembershipFactory, published_version


@pytest.fixture
def call(transactional_db: None) -> Call:
    return dispatched_call(published_version(organization=MembershipFactory().organization, slug="restaurante"))


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


async def test_a_journal_whose_writer_was_cancelled_is_written_all_the_same(call: Call, outage: Outage) -> None:
    journal = Journal(str(call.pk))
    journal.open()
    outage.away = True
    journal.write(turn(1))
    await until(lambda: outage.failed >= 1)
    assert journal._writer is not None
    journal._writer.cancel()
    await asyncio.wait([journal._writer])
    outage.away = False
    assert await journal.close(soon()) == []
    assert await texts(call) == ["turn 1"]

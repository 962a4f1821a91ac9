"""What was said stands once, in order, and is readable by nobody without the key."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from calls.models import Turn, TurnRole
from calls.states import Status
from calls.transcripts import TurnDraft, record
from tests.call_factories import make_call

pytestmark = pytest.mark.django_db
NOW = timezone.now()
SAID = TurnDraft(item_id="item_1", role=TurnRole.ASSISTANT, text="Boa tarde, em que posso ajudar?", started_at=NOW, latency_ms=640)


def test_a_turn_that_is_written_twice_stands_once_and_as_it_was_written_last() -> None:
    call = make_call(Status.IN_PROGRESS)
    first = record(call.pk, SAID)
    again = record(str(call.pk), replace(SAID, text="Boa tarde, em que", interrupted=True))
    assert (again.pk, again.position) == (first.pk, 0)
    turn = Turn.objects.get()
    assert (turn.text, turn.interrupted, turn.latency_ms, turn.role) == ("Boa tarde, em que", True, 640, "assistant")


def test_turns_are_read_in_the_order_in_which_they_were_said() -> None:
    call = make_call(Status.IN_PROGRESS)
    record(call.pk, replace(SAID, item_id="2", started_at=NOW + timedelta(seconds=5), text="two"))
    record(call.pk, replace(SAID, item_id="3", started_at=NOW + timedelta(seconds=5), text="three"))
    # What a person said is often transcribed after it was answered.
    record(call.pk, replace(SAID, item_id="1", role=TurnRole.USER, text="one"))
    assert [turn.text for turn in call.turns.all()] == ["one", "two", "three"]
    assert list(call.turns.order_by("item_id").values_list("position", flat=True)) == [2, 0, 1]


def test_a_tool_that_ran_stands_among_the_turns() -> None:
    call = make_call(Status.IN_PROGRESS)
    turn = record(call.pk, TurnDraft(item_id="t", role=TurnRole.TOOL, text="", started_at=NOW, tool="lookup", arguments={"q": "horário"}))
    assert (turn.tool, Turn.objects.get().arguments) == ("lookup", {"q": "horário"})
    assert str(turn).endswith(f"{NOW:%H:%M:%S}")


def test_what_was_said_may_be_added_after_the_end() -> None:
    call = make_call(Status.ENDED)
    record(call.pk, replace(SAID, is_opening=True))
    assert call.turns.get().is_opening


def test_the_database_does_not_see_what_was_said() -> None:
    record(make_call(Status.IN_PROGRESS).pk, replace(SAID, arguments={"q": "polvo"}))
    with connection.cursor() as cursor:
        cursor.execute("SELECT text, arguments FROM calls_turn")
        kept = str(cursor.fetchone())
    assert [word for word in ("Boa tarde", "polvo") if word in kept] == []

"""One call's page, and what staff do from it."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Membership, Organization, Role, User
from calls import lifecycle, waiting
from calls.admin import page as pages
from calls.models import Call, CallEvent, Line, Turn, TurnRole
from calls.states import EndedBy, Fault, Outcome, Status
from contacts.models import Suppression
from personas.models import PersonaVersion
from tests.conftest import Login

from .conftest import MakeCall

pytestmark = pytest.mark.django_db


def address(call: Call, then: str = "change") -> str:
    return f"/admin/calls/call/{call.pk}/{then}/"


def text_of(login: Login, user: User, call: Call) -> str:
    """What the page says, without its tags, in English."""
    answer = login(user).get(address(call), HTTP_ACCEPT_LANGUAGE="en")
    assert answer.status_code == 200
    article = re.search(r'<article class="chm">.*</article>', answer.content.decode(), re.DOTALL)
    assert article
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", article.group()).replace("&#x27;", "'"))


@pytest.fixture
def talked(make_call: MakeCall) -> Call:
    """A call of 1:12 in which both spoke, a tool ran, and the assistant was interrupted."""
    call = make_call()
    by = "job:AJ_1"
    lifecycle.claim_for_dispatch(call, by="dialer")
    lifecycle.go(call, Status.DIALING, by=by, worker="agent-1")
    lifecycle.ringing(call, by=by)
    lifecycle.answered(call, by=by, opening_spoken="stored", opening_heard_to_end=True, opening_at_ms=96)
    lifecycle.note_event(call, "opening", by=by, why="stored", facts={"heard_to_end": True, "at_ms": 96})
    lifecycle.note_event(call, "tool", by=by, why="lookup_information")
    lifecycle.note_event(call, "digit", by=by, facts={"digit": "9", "other": 1, "empty": ""})
    lifecycle.note_event(call, "strange", by="somebody", facts={"heard_to_end": False})
    start = call.answered_at
    assert start
    said: list[dict[str, Any]] = [
        {"role": TurnRole.ASSISTANT, "text": "Olá, fala a assistente virtual.", "is_opening": True},
        {"role": TurnRole.USER, "text": "A que horas abrem ao sábado?"},
        {"role": TurnRole.TOOL, "text": "Às nove.", "tool": "lookup_information", "arguments": {"question": "sábado"}},
        {"role": TurnRole.ASSISTANT, "text": "Ao sábado abrimos às nove", "interrupted": True, "latency_ms": 812},
        {"role": TurnRole.ASSISTANT, "text": "Até já", "interrupted": True},
    ]
    for position, turn in enumerate(said):
        Turn.objects.create(
            call=call, item_id=f"i{position}", position=position, started_at=start + timedelta(seconds=10 * position), **turn
        )
    lifecycle.end(
        call,
        by=by,
        outcome=Outcome.ANSWERED,
        reason="error.ai.lost",
        ended_by=EndedBy.PLATFORM,
        fault=Fault.AI_PROVIDER,
        facts={"sip_status_code": 200, "policy": ["policy.hours"]},
        note="The line was closed.",
        sip_status_code=200,
        sip_status="OK",
        sip_call_id="SCL_1",
        usage={"input": {"audio_tokens": 12}, "turns": 3},
        latency={"count": 2, "p50": 812},
    )
    Call.objects.filter(pk=call.pk).update(ended_at=start + timedelta(seconds=72), dialing_at=start - timedelta(seconds=8))
    call.refresh_from_db()
    return call


def test_the_head_tells_the_call_in_words(login: Login, alice: User, talked: Call) -> None:
    text = text_of(login, alice, talked)
    assert text.startswith(" Calls Ana Answered Simulated: nobody's phone rang +351 9•• ••• 001 ")
    assert (
        "The voice model was lost during the call. The conversation lasted 1:12. The fault is the AI provider's. The line was closed."
        in text
    )


def test_the_conversation_reads_as_it_was(login: Login, alice: User, talked: Call) -> None:
    said = [(turn.role, turn.who, turn.when, turn.text, turn.cut, turn.latency) for turn in pages.conversation(talked, talked.turns.all())]
    assert said[1:] == [
        ("user", "Ana", "0:10", "A que horas abrem ao sábado?", "", ""),
        ("tool", "Restaurante", "0:20", "Às nove.", "", ""),
        ("assistant", "Restaurante", "0:30", "Ao sábado ", "abrimos às nove", said[3][5]),
        ("assistant", "Restaurante", "0:40", "", "Até já", ""),
    ]
    assert said[3][5].endswith("812 ms")
    text = text_of(login, alice, talked)
    assert "Restaurante · opening Olá, fala a assistente virtual." in text
    assert "lookup_information sábado → Às nove. 0:20" in text
    assert "cut off · answered after 812 ms" in text


def test_the_timeline_says_what_happened_and_who_did_it(login: Login, alice: User, talked: Call) -> None:
    text = text_of(login, alice, talked)
    for line in (
        f"In the queue staff ({alice.pk})",
        "Given to an agent the queue worker",
        "Dialling the agent (AJ_1)",
        "Opening from the store · heard to its end · after 96 ms · the agent (AJ_1)",
        "Tool lookup_information · the agent (AJ_1)",
        "A key was pressed 9 · other 1 · the agent (AJ_1)",
        "Strange not heard to its end · somebody",
        "The voice model was lost during the call error.ai.lost · SIP 200 · policy.hours · the agent (AJ_1)",
    ):
        assert line in text


def test_the_facts_stand_in_cards(login: Login, alice: User, talked: Call) -> None:
    text = text_of(login, alice, talked)
    for line in (
        "Answered after 8,0 s",
        "Lasted 1:12",
        "Ended by The platform",
        "SIP status 200 OK SIP call id SCL_1",
        "Agent agent-1",
        "Spoken from the store Heard to its end yes After the answer 96 ms",
        "answers measured 2 p50 812 ms",
        "input audio tokens 12 turns 3",
        "Purpose asked-for contact Basis order form Text 2026-11",
    ):
        assert line in text


def test_the_prompt_is_the_one_of_the_calls_own_time(login: Login, alice: User, talked: Call) -> None:
    Call.objects.filter(pk=talked.pk).update(answered_at=timezone.now() - timedelta(days=400))
    talked.refresh_from_db()
    assert talked.answered_at
    assert str(talked.answered_at.year) in pages.prompt_of(talked)
    assert "Atendes pela Taberna do Cais." in text_of(login, alice, talked)


def test_the_prompt_has_the_calls_own_opening(login: Login, alice: User, talked: Call) -> None:
    Call.objects.filter(pk=talked.pk).update(opening_text="Olá, foi assim que começou.")
    text = text_of(login, alice, talked)
    assert "The model's instructions, as they would be built today" in text
    assert "Olá, foi assim que começou." in text


def test_a_call_whose_prompt_cannot_be_built_has_a_page(login: Login, alice: User, talked: Call) -> None:
    PersonaVersion.objects.filter(pk=talked.persona_version_id).update(instructions="{{ prato }}")
    assert "They cannot be built: There is no variable “prato” here." in text_of(login, alice, talked)


def test_the_trace_has_the_machine_over_and_the_person_under_the_line(talked: Call) -> None:
    bars = pages.trace(talked, list(talked.turns.all()))
    assert [bar.kind for bar in bars] == ["opening", "person", "tool", "machine", "machine"]
    assert [bar.start for bar in bars] == [0.0, 13.89, 27.78, 41.67, 55.56]
    assert all(bar.length > 0 and bar.start + bar.length <= 100 for bar in bars)


def test_a_call_in_which_nobody_spoke(login: Login, alice: User, make_call: MakeCall) -> None:
    call = make_call(customer_name="", consent=None)
    waiting = text_of(login, alice, call)
    assert waiting.startswith(" Calls +351 9•• ••• 001 In the queue")
    assert "Nothing has been said yet." in waiting
    assert "None was given: only the sandbox carries such a call." in waiting
    lifecycle.end(call, by="test", outcome=Outcome.BUSY, reason="dial.busy", retryable=True)
    ended = text_of(login, alice, call)
    assert "The line was busy. Another call may do better." in ended
    assert "Nobody spoke in this call." in ended
    assert pages.trace(call, []) == []


def test_each_state_and_outcome_has_its_look() -> None:
    from calls.admin.looks import OUTCOME, STATUS

    assert (set(STATUS), set(OUTCOME)) == (set(Status), set(Outcome))


def test_each_glyph_is_in_the_sprite() -> None:
    from pathlib import Path

    from calls.admin.looks import OUTCOME, SANDBOX, STATUS

    sprite = (Path(__file__).parents[3] / "static" / "calls" / "glyphs.svg").read_text()
    used = {look.glyph for look in (*STATUS.values(), *OUTCOME.values(), *pages.KIND_LOOK.values(), SANDBOX, pages.FAILED)}
    assert used <= set(re.findall(r'id="([a-z]+)"', sprite))


@pytest.mark.usefixtures("phone_line")
def test_a_call_by_phone_is_not_called_simulated(login: Login, alice: User, make_call: MakeCall) -> None:
    assert "Simulated" not in text_of(login, alice, make_call())


def test_carla_cannot_open_alices_call(login: Login, carla: User, talked: Call) -> None:
    browser = login(carla)
    assert browser.get(address(talked)).status_code == 404
    assert browser.post(address(talked, "cancel")).status_code == 403
    assert browser.post(address(talked, "suppress")).status_code == 403
    assert Suppression.objects.count() == 0


def test_staff_cancel_a_call_in_their_own_name(login: Login, bob: User, make_call: MakeCall) -> None:
    call = make_call()
    browser = login(bob)
    answer = browser.post(address(call, "cancel"), follow=True, HTTP_ACCEPT_LANGUAGE="en")
    call.refresh_from_db()
    assert (call.outcome, call.ended_reason, call.ended_by) == ("canceled", "staff.canceled", "staff")
    assert CallEvent.objects.filter(call=call).latest("pk").by == f"user:{bob.pk}"
    assert "The call was canceled. The phone never rang." in answer.content.decode()


def test_a_link_cancels_nothing(login: Login, bob: User, make_call: MakeCall) -> None:
    call = make_call()
    assert login(bob).get(address(call, "cancel")).status_code == 405
    call.refresh_from_db()
    assert call.status == Status.QUEUED


def test_an_auditor_reads_and_does_nothing(login: Login, bob: User, make_call: MakeCall) -> None:
    Membership.objects.filter(user=bob).update(role=Role.AUDITOR)
    call = make_call()
    text = text_of(login, bob, call)
    assert "Cancel the call" not in text
    assert "Never call again" not in text
    assert login(bob).post(address(call, "cancel")).status_code == 403
    call.refresh_from_db()
    assert call.status == Status.QUEUED


def test_the_buttons_are_there_for_whom_they_work(login: Login, bob: User, make_call: MakeCall) -> None:
    text = text_of(login, bob, make_call())
    assert ("Cancel the call" in text, "Never call again" in text, "The evidence" in text) == (True, True, True)


def test_a_number_is_never_called_again_after_a_question(login: Login, bob: User, make_call: MakeCall) -> None:
    call = make_call()
    browser = login(bob)
    asked = browser.get(address(call, "suppress"), HTTP_ACCEPT_LANGUAGE="en").content.decode()
    assert "Taberna do Cais does not call +351 9•• ••• 001 from now on" in asked
    assert Suppression.objects.count() == 0
    browser.post(address(call, "suppress"))
    row = Suppression.objects.get()
    assert (row.organization, row.number_index, row.reason, row.by, row.created_by, row.simulated) == (
        call.organization,
        call.number_index,
        "staff",
        f"user:{bob.pk}",
        bob,
        False,
    )
    assert "Never call again" not in text_of(login, bob, call)


def test_an_opt_out_of_the_demonstration_binds_every_organization(login: Login, bob: User, make_call: MakeCall) -> None:
    call = make_call()
    Organization.objects.filter(pk=call.organization_id).update(is_demo=True)
    browser = login(bob)
    asked = browser.get(address(call, "suppress"), HTTP_ACCEPT_LANGUAGE="en").content.decode()
    assert "No organization calls +351 9•• ••• 001 from now on, whatever was agreed: every organization is bound." in asked
    browser.post(address(call, "suppress"))
    assert (Suppression.objects.get().organization, Suppression.objects.get().simulated) == (None, False)


def test_the_page_says_how_a_call_waits(login: Login, alice: User, make_call: MakeCall, monkeypatch: pytest.MonkeyPatch) -> None:
    Line.objects.update(is_open=False)
    make_call(2)
    call = make_call()
    text = text_of(login, alice, call)
    assert "In the queue It waits The line takes no calls just now Position 2 Not after" in text
    assert "Priority Normal priority" in text
    monkeypatch.setattr(waiting, "COUNTED", 1)
    assert "Position more than 1" in text_of(login, alice, call)


def test_the_page_says_until_when_a_call_waits(login: Login, alice: User, make_call: MakeCall) -> None:
    call = make_call(earliest=timezone.now() + timedelta(days=1))
    assert f"Its time has not come yet Not before {timezone.localtime(call.due_at):%d/%m/%Y, %H:%M:%S}" in text_of(login, alice, call)

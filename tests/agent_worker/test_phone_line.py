"""The phone line: what it asks of LiveKit, and what it makes of what the room tells. The room is a real one that is not connected."""

import json
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from livekit import rtc
from livekit.agents import Agent, AgentSession

from agent_worker import entrypoint, spool
from agent_worker.entrypoint import call_and_claim
from agent_worker.lines.audio import Loudspeaker
from agent_worker.lines.base import LineLost, TransferFailed
from agent_worker.session import keep_words_with_sound
from calls.exceptions import DialFailed, FailureKind
from tests.agent_worker.calling import dispatched_call
from tests.agent_worker.phone_rig import CALL, Reason, Rig, participant
from tests.factories import MembershipFactory, published_version
from tests.numbers import pt_mobile


async def test_the_dial_names_trunk_number_and_the_longest_times(rig: Rig) -> None:
    answer = await rig.line.dial(CALL)
    assert (answer.sip_call_id, answer.participant_id) == ("SCL_1", "PA_1")
    (asked,) = rig.livekit.of("CreateSIPParticipant")
    assert (asked.sip_trunk_id, asked.sip_call_to, asked.sip_number, asked.participant_identity) == (
        "ST_1",
        pt_mobile(7),
        "+351210000009",
        "callee",
    )
    assert (asked.room_name, asked.hide_phone_number, asked.wait_until_answered) == ("fake-room", True, True)
    assert (asked.ringing_timeout.seconds, asked.max_call_duration.seconds) == (20, 150)


async def test_a_busy_callee_is_a_failed_dial_and_one_dial(rig: Rig) -> None:
    busy = {"code": "resource_exhausted", "msg": "sip status 486", "meta": {"sip_status_code": "486", "sip_status": "Busy Here"}}
    rig.livekit.answers["CreateSIPParticipant"] = (429, busy)
    with pytest.raises(DialFailed) as failed:
        await rig.line.dial(CALL)
    assert (failed.value.kind, failed.value.sip_status_code, len(rig.livekit.asked)) == (FailureKind.SIP, 486, 1)


async def test_a_transfer_goes_to_the_number_and_returning_is_success(rig: Rig) -> None:
    await rig.line.transfer("+351210000001")
    (asked,) = rig.livekit.of("TransferSIPParticipant")
    assert (asked.transfer_to, asked.participant_identity, asked.room_name) == ("tel:+351210000001", "callee", "fake-room")


async def test_a_refused_transfer_says_with_what(rig: Rig) -> None:
    refused = {"code": "permission_denied", "msg": "sip status 603", "meta": {"sip_status_code": "603", "sip_status": "Decline"}}
    rig.livekit.answers["TransferSIPParticipant"] = (403, refused)
    with pytest.raises(TransferFailed) as failed:
        await rig.line.transfer("+351210000001")
    assert failed.value.sip_status_code == 603


async def test_a_room_that_cannot_be_reached_is_a_lost_line(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(**_: object) -> None:
        raise rtc.ConnectError("room does not exist")

    monkeypatch.setattr(rig.line._context, "connect", refuse)
    with pytest.raises(LineLost):
        await rig.line.attach(SimpleNamespace(), Agent(instructions=""))  # type: ignore[arg-type]  # is not come to


async def test_only_the_callees_own_ringing_counts(rig: Rig) -> None:
    rig.room.emit("participant_attributes_changed", {"sip.callStatus": "dialing"}, participant())
    rig.room.emit("participant_attributes_changed", {"sip.callStatus": "ringing"}, participant("somebody"))
    rig.room.emit("participant_attributes_changed", {"sip.callStatus": "ringing"}, participant())
    rig.room.emit("participant_attributes_changed", {"sip.callStatus": "active"}, participant())
    assert rig.told == ["rings"]


async def test_a_phone_that_rang_before_we_looked_has_rung(rig: Rig) -> None:
    ringing = participant()
    ringing.attributes["sip.callStatus"] = "ringing"
    rig.room.emit("participant_connected", ringing)
    assert rig.told == ["rings"]


@pytest.mark.parametrize("reason", [Reason.CLIENT_INITIATED, Reason.USER_UNAVAILABLE, Reason.UNKNOWN_REASON, Reason.ROOM_DELETED])
async def test_a_callee_who_leaves_for_whatever_reason_has_left(rig: Rig, reason: Any) -> None:
    gone = participant()
    gone.disconnect_reason = reason
    rig.room.emit("participant_disconnected", gone)
    assert rig.told == [f"left: {Reason.Name(reason)}"]


async def test_a_departure_without_a_reason_is_one_too_and_others_may_come_and_go(rig: Rig) -> None:
    rig.room.emit("participant_disconnected", participant("somebody"))
    rig.room.emit("participant_disconnected", participant())
    assert rig.told == ["left: UNKNOWN_REASON"]


async def test_without_the_room_there_is_no_callee(rig: Rig) -> None:
    rig.room.emit("disconnected", Reason.ROOM_DELETED)
    assert rig.told == ["left: ROOM_DELETED"]


async def test_only_the_callees_keys_count(rig: Rig) -> None:
    for who in (None, participant("somebody"), participant()):
        rig.room.emit("sip_dtmf_received", rtc.SipDTMF(code=9, digit="9", participant=who))
    assert rig.told == ["digit 9"]


async def test_a_closed_line_hears_nothing_any_more(rig: Rig) -> None:
    await rig.line.aclose()
    rig.room.emit("disconnected", Reason.ROOM_DELETED)
    assert rig.told == []


async def test_a_dispatch_without_a_call_is_refused(rig: Rig) -> None:
    context = rig.line._context
    shut: list[str] = []
    context._on_shutdown = shut.append
    await entrypoint.entrypoint(context)
    assert (shut, rig.livekit.asked) == (["no call"], [])


async def test_a_job_whose_call_is_anothers_dials_nobody_and_ends(rig: Rig, transactional_db: None, settings: Any) -> None:
    settings.LIVEKIT_URL, settings.LIVEKIT_API_KEY, settings.LIVEKIT_API_SECRET = rig.url, "key", "s" * 32
    context = rig.line._context
    shut: list[str] = []
    context._on_shutdown = shut.append
    context.job.metadata = json.dumps({"call_id": str(uuid.uuid4()), "persona": "restaurante", "claim": "t"})
    await entrypoint.entrypoint(context)
    assert shut == ["call ended"]
    assert rig.livekit.asked == []


async def test_what_this_machine_kept_is_written_when_a_job_ends(transactional_db: None, settings: Any, tmp_path: Path) -> None:
    settings.JOURNAL_SPOOL = tmp_path
    call = await sync_to_async(lambda: dispatched_call(published_version(organization=MembershipFactory().organization, slug="clinica")))()
    file = spool.SpoolFile(str(call.pk))
    file.write(spool.Page(call=str(call.pk), claim=call.claim))
    file.let_go()
    await entrypoint.on_session_end(SimpleNamespace())  # type: ignore[arg-type]  # it needs nothing of the job
    assert [path.name for path in tmp_path.iterdir()] == []  # noqa: ASYNC240


async def test_what_cannot_be_written_yet_stays(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_path: Path) -> bool:
        raise OperationalError

    monkeypatch.setattr(spool, "waiting", lambda: [Path("a.spool")])
    monkeypatch.setattr(spool, "replay", away)
    await entrypoint.on_session_end(SimpleNamespace())  # type: ignore[arg-type]


async def test_the_words_of_a_cut_sentence_end_with_its_sound() -> None:
    session: AgentSession[Any] = AgentSession()
    loudspeaker = Loudspeaker()
    session.output.audio = loudspeaker
    synchronizer = keep_words_with_sound(session)
    assert (session.output.audio, session.output.transcription) == (synchronizer.audio_output, synchronizer.text_output)
    proxy = synchronizer.audio_output.next_in_chain  # where sinks can be changed
    assert proxy is not None
    assert proxy.next_in_chain is loudspeaker
    await synchronizer.aclose()


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ('{"call_id": "c", "persona": "restaurante", "claim": "t"}', ("c", "t")),
        ('{"call_id": "c", "persona": "p", "claim": "t", "phone_number": "+351910000001", "customer_name": "Ana"}', ("c", "t")),
        ('{"phone_number": "+351910000001", "persona": "restaurante"}', None),
        ('{"call_id": 7, "claim": "t"}', None),
        ("[]", None),
        ("", None),
        ("not JSON", None),
    ],
)
def test_a_dispatch_names_its_call_and_the_claim_or_is_refused(metadata: str, named: tuple[str, str] | None) -> None:
    assert call_and_claim(metadata) == named

"""What is asked of LiveKit, and what its answers mean to us. The wire is the tests' own; `test_gateway_on_livekit` has the real one."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from google.protobuf.empty_pb2 import Empty
from livekit.protocol.agent_dispatch import JobRestartPolicy
from livekit.protocol.sip import SIPTransferStatus, TransferSIPParticipantResponse
from pytest_django import Settings

from calls import gateway as module
from calls.exceptions import DialFailed, FailureKind, GatewayError, TransferFailed
from calls.gateway import Answer, Dial, Gateway, Participant
from tests.numbers import pt_mobile

from .livekit_api import LOST, FakeLiveKit, TwirpError

DIAL = Dial(room="call_a", number=pt_mobile(), trunk_id="ST_known", ring_timeout_s=20, max_call_duration_s=300, from_number=pt_mobile(9))


@pytest_asyncio.fixture
async def gateway(livekit: FakeLiveKit) -> AsyncIterator[Gateway]:
    async with Gateway(url=livekit.url, api_key=livekit.api_key, api_secret=livekit.api_secret) as opened:
        yield opened


async def test_a_room_and_its_dispatch_are_one_request(gateway: Gateway, livekit: FakeLiveKit) -> None:
    metadata = {"call_id": "1", "persona": "clinica", "claim": "c"}
    await gateway.open_room("call_a", metadata=metadata, agent_name="chamada", empty_timeout_s=7, departure_timeout_s=3)
    (request,) = livekit.asked_for("CreateRoom")
    assert (request.name, request.empty_timeout, request.departure_timeout) == ("call_a", 7, 3)
    assert request.metadata == "chamada"
    (dispatch,) = request.agents
    assert (dispatch.agent_name, json.loads(dispatch.metadata)) == ("chamada", metadata)
    # A job that died after dialling must not be started again: it would phone the person again.
    assert dispatch.restart_policy == JobRestartPolicy.JRP_NEVER


async def test_deleting_a_room_that_is_not_there_is_no_error(gateway: Gateway, livekit: FakeLiveKit) -> None:
    livekit.rooms.add("call_a")
    assert await gateway.delete_room("call_a")
    assert not await gateway.delete_room("call_a")
    assert (livekit.rooms, len(livekit.asked_for("DeleteRoom"))) == (set(), 2)


async def test_a_room_that_cannot_be_deleted_is_an_error(gateway: Gateway, livekit: FakeLiveKit) -> None:
    livekit.fails("DeleteRoom", TwirpError("unavailable"))
    with pytest.raises(GatewayError) as error:
        await gateway.delete_room("call_a")
    assert (error.value.kind, error.value.retryable) == (FailureKind.SERVICE_AWAY, True)


async def test_a_livekit_that_stands_still_is_told_to_delete_nothing(
    gateway: Gateway, livekit: FakeLiveKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    livekit.rooms.add("call_a")
    livekit.before["ListRooms"] = goes_on.wait
    monkeypatch.setattr(module, "ANSWERS_AT_ONCE_S", 0.1)
    with pytest.raises(GatewayError) as error:
        await gateway.delete_room("call_a")
    goes_on.set()
    assert (error.value.kind, livekit.asked_for("DeleteRoom"), livekit.rooms) == (FailureKind.AMBIGUOUS, [], {"call_a"})


async def test_our_rooms_are_listed_by_one_request(gateway: Gateway, livekit: FakeLiveKit) -> None:
    for name in ("call_a", "call_b"):
        await gateway.open_room(name, metadata={}, agent_name="chamada")
    await gateway.open_room("call_of_others", metadata={}, agent_name="another")
    assert await gateway.list_rooms(agent_name="chamada") == {"call_a", "call_b"}
    assert len(livekit.asked_for("ListRooms")) == 1


async def test_who_is_in_a_room_is_said_without_a_number(gateway: Gateway, livekit: FakeLiveKit) -> None:
    livekit.rooms.add("call_a")
    livekit.joins("call_a", call_status="ringing")
    livekit.joins("call_a", "agent-AJ_1", kind="AGENT")
    joined_at = datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)
    callee, agent = await gateway.participants("call_a")
    assert callee == Participant(identity="callee", kind="sip", call_status="ringing", joined_at=joined_at)
    assert agent == Participant(identity="agent-AJ_1", kind="agent", joined_at=joined_at)
    assert (callee.is_callee, callee.is_agent, agent.is_callee, agent.is_agent) == (True, False, False, True)


async def test_a_room_that_no_server_carries_cannot_be_asked_about(gateway: Gateway) -> None:
    with pytest.raises(GatewayError) as error:
        await gateway.participants("call_nobody_made")
    assert error.value.kind == FailureKind.SERVICE_AWAY


async def test_a_livekit_that_cannot_list_is_an_error(gateway: Gateway, livekit: FakeLiveKit) -> None:
    livekit.fails("ListRooms", TwirpError("unavailable"))
    livekit.fails("ListParticipants", TwirpError("unavailable"))
    for asking in (gateway.list_rooms(agent_name="chamada"), gateway.participants("call_a")):
        with pytest.raises(GatewayError) as error:
            await asking
        assert error.value.kind == FailureKind.SERVICE_AWAY


@pytest.mark.parametrize(
    ("call_status", "picked_up"),
    [("", False), ("dialing", False), ("ringing", False), ("automation", True), ("active", True), ("hangup", True)],
)
def test_a_call_status_proves_that_somebody_picked_up_or_nothing(call_status: str, picked_up: bool) -> None:
    assert Participant(identity="callee", kind="sip", call_status=call_status).picked_up == picked_up


async def test_a_callee_in_a_room_that_redis_forgot_is_removed(gateway: Gateway, livekit: FakeLiveKit) -> None:
    livekit.forgotten.add("call_a")
    assert not await gateway.remove_forgotten_callee("call_a")
    livekit.joins("call_a", call_status="active")
    livekit.joins("call_a", "agent-AJ_1", kind="AGENT")
    assert not await gateway.delete_room("call_a")
    assert await gateway.remove_forgotten_callee("call_a")
    assert [someone.identity for someone in livekit.participants["call_a"]] == ["agent-AJ_1"]


async def test_the_dial_hides_the_number_and_bounds_what_it_may_cost(gateway: Gateway, livekit: FakeLiveKit) -> None:
    assert await gateway.dial(DIAL) == Answer(sip_call_id="SCL_1", participant_id="PA_1")
    (request,) = livekit.asked_for("CreateSIPParticipant")
    assert (request.sip_call_to, request.sip_number, request.sip_trunk_id) == (pt_mobile(), pt_mobile(9), "ST_known")
    assert (request.room_name, request.participant_identity) == ("call_a", "callee")
    assert (request.wait_until_answered, request.hide_phone_number, request.play_dialtone) == (True, True, False)
    assert (request.ringing_timeout.seconds, request.max_call_duration.seconds) == (20, 300)
    assert pt_mobile() not in repr(DIAL)


async def test_ringing_ends_before_livekit_gives_the_dial_up(gateway: Gateway, livekit: FakeLiveKit) -> None:
    await gateway.dial(Dial(room="a", number=pt_mobile(), trunk_id="ST_known", ring_timeout_s=80, max_call_duration_s=60))
    assert livekit.asked_for("CreateSIPParticipant")[0].ringing_timeout.seconds == 78


# Facts: livekit-stack §3.7, livekit-agents §2.2.
@pytest.mark.parametrize(
    ("code", "sip_status_code"),
    [
        ("resource_exhausted", 486),
        ("resource_exhausted", 480),
        ("permission_denied", 603),
        ("permission_denied", 403),
        ("not_found", 404),
        ("deadline_exceeded", 408),
        ("failed_precondition", 503),
    ],
)
async def test_a_sip_status_is_what_counts_whatever_code_it_comes_with(
    gateway: Gateway, livekit: FakeLiveKit, code: str, sip_status_code: int
) -> None:
    livekit.fails("CreateSIPParticipant", TwirpError(code, meta={"sip_status_code": str(sip_status_code), "sip_status": "Said so"}))
    with pytest.raises(DialFailed) as failure:
        await gateway.dial(DIAL)
    assert (failure.value.kind, failure.value.sip_status_code, failure.value.sip_status) == (FailureKind.SIP, sip_status_code, "Said so")
    assert failure.value.permanent


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TwirpError("canceled", "sip request timed out"), FailureKind.RANG_OUT),
        (TwirpError("canceled", "transaction failed to complete"), FailureKind.CARRIER_SILENT),
        (TwirpError("failed_precondition", "no credentials"), FailureKind.CARRIER_AUTH),
        (TwirpError("unavailable", "no response from servers"), FailureKind.SERVICE_AWAY),
        (TwirpError("internal", "sip not connected (redis required)"), FailureKind.SERVICE_AWAY),
        (TwirpError("not_found", "requested sip trunk does not exist"), FailureKind.TRUNK_UNKNOWN),
        (TwirpError("not_found", "requested room does not exist"), FailureKind.ROOM_GONE),
        (TwirpError("unauthenticated", "invalid token"), FailureKind.KEY_REFUSED),
        (TwirpError("permission_denied", "no sip grant"), FailureKind.KEY_REFUSED),
        (TwirpError("invalid_argument", "bad number"), FailureKind.NOT_UNDERSTOOD),
        (TwirpError("deadline_exceeded", "request timed out"), FailureKind.AMBIGUOUS),
        (TwirpError("internal", "oops"), FailureKind.AWAY),
        (TwirpError("resource_exhausted", "cpu"), FailureKind.AWAY),
        (LOST, FailureKind.AMBIGUOUS),
    ],
    ids=lambda value: value.code + " " + value.message if isinstance(value, TwirpError) else "",
)
async def test_every_other_failure_of_a_dial_has_a_name_and_is_final(
    gateway: Gateway, livekit: FakeLiveKit, error: TwirpError, kind: FailureKind
) -> None:
    livekit.fails("CreateSIPParticipant", error)
    with pytest.raises(DialFailed) as failure:
        await gateway.dial(DIAL)
    assert (failure.value.kind, failure.value.sip_status_code, failure.value.sip_status) == (kind, None, "")
    assert (failure.value.permanent, failure.value.retryable) == (True, False)
    # One request is one INVITE.
    assert len(livekit.asked_for("CreateSIPParticipant")) == 1


@pytest.mark.parametrize(
    ("error", "permanent"),
    [
        (TwirpError("unauthenticated"), True),
        (TwirpError("invalid_argument"), True),
        (TwirpError("unavailable"), False),
        (TwirpError("internal"), False),
        (LOST, False),
    ],
    ids=lambda value: str(getattr(value, "code", value)),
)
async def test_a_room_that_could_not_be_opened_says_whether_to_ask_again(
    gateway: Gateway, livekit: FakeLiveKit, error: TwirpError, permanent: bool
) -> None:
    livekit.fails("CreateRoom", error)
    with pytest.raises(GatewayError) as failure:
        await gateway.open_room("call_a", metadata={}, agent_name="chamada")
    assert (failure.value.permanent, failure.value.retryable) == (permanent, not permanent)
    assert len(livekit.asked_for("CreateRoom")) == 1


async def test_a_livekit_that_does_not_answer_leaves_it_open_what_happened(
    gateway: Gateway, livekit: FakeLiveKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_answer = threading.Event()
    livekit.before["CreateSIPParticipant"] = may_answer.wait
    monkeypatch.setattr(module, "ANSWERS_LATE_BY_S", 0.2)
    with pytest.raises(DialFailed) as failure:
        await gateway.dial(Dial(room="a", number=pt_mobile(), trunk_id="ST_known", ring_timeout_s=0, max_call_duration_s=60))
    may_answer.set()
    assert (failure.value.kind, failure.value.said) == (FailureKind.AMBIGUOUS, "TimeoutError")


async def test_nobody_at_livekits_address_is_an_error_of_ours() -> None:
    async with Gateway(url="ws://127.0.0.1:9", api_key="k", api_secret="s" * 32) as gateway:
        with pytest.raises(GatewayError) as failure:
            await gateway.check_connection()
    assert failure.value.kind == FailureKind.AMBIGUOUS


async def test_an_empty_answer_to_a_transfer_means_success(gateway: Gateway, livekit: FakeLiveKit) -> None:
    livekit.answers["TransferSIPParticipant"] = Empty()
    await gateway.transfer(room="call_a", to=pt_mobile(5), ring_timeout_s=15)
    (request,) = livekit.asked_for("TransferSIPParticipant")
    assert (request.room_name, request.participant_identity, request.transfer_to) == ("call_a", "callee", f"tel:{pt_mobile(5)}")
    assert (request.ringing_timeout.seconds, request.play_dialtone) == (15, False)


async def test_a_transfer_can_go_to_a_sip_address(gateway: Gateway, livekit: FakeLiveKit) -> None:
    livekit.answers["TransferSIPParticipant"] = TransferSIPParticipantResponse(status=SIPTransferStatus.STS_TRANSFER_SUCCESSFUL)
    await gateway.transfer(room="call_a", to="sip:desk@example.com", ring_timeout_s=15)
    assert livekit.asked_for("TransferSIPParticipant")[0].transfer_to == "sip:desk@example.com"


async def test_a_status_of_a_transfer_that_says_failed_is_a_failure(gateway: Gateway, livekit: FakeLiveKit) -> None:
    livekit.answers["TransferSIPParticipant"] = TransferSIPParticipantResponse(status=SIPTransferStatus.STS_TRANSFER_FAILED)
    with pytest.raises(TransferFailed) as failure:
        await gateway.transfer(room="call_a", to=pt_mobile(5), ring_timeout_s=15)
    assert failure.value.kind == FailureKind.SIP


async def test_a_refused_transfer_tells_why(gateway: Gateway, livekit: FakeLiveKit) -> None:
    meta = {"sip_status_code": "603", "sip_status": "Decline", "sip_transfer_reason": "STR_REJECTED"}
    livekit.fails("TransferSIPParticipant", TwirpError("permission_denied", meta=meta))
    with pytest.raises(TransferFailed) as failure:
        await gateway.transfer(room="call_a", to=pt_mobile(5), ring_timeout_s=15)
    assert (failure.value.kind, failure.value.sip_status_code, failure.value.reason) == (FailureKind.SIP, 603, "STR_REJECTED")


async def test_a_connection_is_checked_and_so_is_a_trunk(gateway: Gateway, livekit: FakeLiveKit) -> None:
    await gateway.check_connection()
    await gateway.check_trunk("ST_known")
    with pytest.raises(GatewayError) as failure:
        await gateway.check_trunk("ST_other")
    assert failure.value.kind == FailureKind.TRUNK_UNKNOWN
    livekit.fails("ListRooms", TwirpError("unauthenticated"))
    with pytest.raises(GatewayError) as refused:
        await gateway.check_connection()
    assert (refused.value.kind, str(refused.value.said)) == (FailureKind.KEY_REFUSED, "unauthenticated")


@pytest.mark.parametrize("name", ["LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"])
def test_without_its_settings_there_is_no_gateway(settings: Settings, name: str) -> None:
    settings.LIVEKIT_URL, settings.LIVEKIT_API_KEY, settings.LIVEKIT_API_SECRET = "ws://127.0.0.1:9", "k", "s"
    setattr(settings, name, "")
    with pytest.raises(GatewayError) as failure:
        Gateway.from_settings()
    assert (failure.value.kind, failure.value.permanent) == (FailureKind.NOT_CONFIGURED, True)


async def test_one_gateway_speaks_to_livekit_side_by_side(gateway: Gateway, livekit: FakeLiveKit) -> None:
    all_there = threading.Barrier(4)
    livekit.before["CreateRoom"] = lambda: all_there.wait(10)
    await asyncio.gather(*(gateway.open_room(f"call_{n}", metadata={}, agent_name="chamada") for n in range(4)))
    assert livekit.rooms == {"call_0", "call_1", "call_2", "call_3"}

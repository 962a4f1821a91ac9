"""How each answer of the phone network ends a call (design §3)."""

import pytest

from calls.dial_results import BY_KIND, BY_SIP_STATUS, DialResult, result_of
from calls.exceptions import DialFailed, FailureKind
from calls.states import EndedBy, Fault, Outcome, Reason


def after(code: int) -> tuple[str, str, str, bool]:
    result = result_of(DialFailed(FailureKind.SIP, sip_status_code=code))
    return result.outcome, result.reason, result.fault, result.retryable


@pytest.mark.parametrize(
    ("codes", "outcome", "reason", "retryable"),
    [
        ((486, 600), Outcome.BUSY, Reason.DIAL_BUSY, True),
        ((603, 607, 608), Outcome.DECLINED, Reason.CALLEE_DECLINED, False),
        ((408, 487), Outcome.NO_ANSWER, Reason.DIAL_NO_ANSWER, True),
        ((480,), Outcome.UNREACHABLE, Reason.DIAL_UNREACHABLE, True),
        ((404, 410, 484, 604), Outcome.UNREACHABLE, Reason.DIAL_INVALID_NUMBER, False),
        ((403,), Outcome.UNREACHABLE, Reason.DIAL_REJECTED_BY_NETWORK, False),
    ],
)
def test_what_the_callee_or_the_network_says_is_nobodys_fault(
    codes: tuple[int, ...], outcome: Outcome, reason: Reason, retryable: bool
) -> None:
    assert {after(code) for code in codes} == {(outcome, reason, Fault.NONE, retryable)}


@pytest.mark.parametrize(
    ("codes", "reason", "retryable"),
    [
        ((401, 402, 407), Reason.ERROR_CARRIER_AUTH, False),
        ((415, 488, 606), Reason.ERROR_CARRIER_MEDIA, False),
        ((500, 502, 503, 504, 599, 400, 302), Reason.ERROR_CARRIER_UNAVAILABLE, True),
    ],
)
def test_the_carriers_trouble_is_a_failure(codes: tuple[int, ...], reason: Reason, retryable: bool) -> None:
    assert {after(code) for code in codes} == {(Outcome.FAILED, reason, Fault.CARRIER, retryable)}


@pytest.mark.parametrize(
    ("kind", "outcome", "reason", "fault"),
    [
        (FailureKind.RANG_OUT, Outcome.NO_ANSWER, Reason.DIAL_NO_ANSWER, Fault.NONE),
        (FailureKind.CARRIER_SILENT, Outcome.FAILED, Reason.ERROR_CARRIER_UNAVAILABLE, Fault.CARRIER),
        (FailureKind.CARRIER_AUTH, Outcome.FAILED, Reason.ERROR_CARRIER_AUTH, Fault.CARRIER),
        (FailureKind.SERVICE_AWAY, Outcome.FAILED, Reason.ERROR_CARRIER_UNAVAILABLE, Fault.CARRIER),
        (FailureKind.TRUNK_UNKNOWN, Outcome.FAILED, Reason.ERROR_CONFIGURATION_TRUNK, Fault.CONFIGURATION),
        (FailureKind.KEY_REFUSED, Outcome.FAILED, Reason.ERROR_CONFIGURATION_KEY, Fault.CONFIGURATION),
        (FailureKind.AMBIGUOUS, Outcome.FAILED, Reason.ERROR_PLATFORM_INTERNAL, Fault.PLATFORM),
    ],
)
def test_a_dial_without_a_sip_status_ends_by_what_went_wrong(kind: FailureKind, outcome: Outcome, reason: Reason, fault: Fault) -> None:
    result = result_of(DialFailed(kind))
    assert (result.outcome, result.reason, result.fault) == (outcome, reason, fault)


def test_an_ambiguous_answer_is_never_worth_another_dial() -> None:
    assert not result_of(DialFailed(FailureKind.AMBIGUOUS)).retryable


def test_every_kind_of_failure_is_in_the_table() -> None:
    assert set(BY_KIND) == set(FailureKind)


@pytest.mark.parametrize("result", {*BY_SIP_STATUS.values(), *BY_KIND.values()}, ids=lambda result: result.reason.value)
def test_the_reason_tells_whose_fault_it_was(result: DialResult) -> None:
    named = {"error.carrier": Fault.CARRIER, "error.configuration": Fault.CONFIGURATION, "error.platform": Fault.PLATFORM}
    assert result.fault == named.get(result.reason.rpartition(".")[0], Fault.NONE)
    assert (result.outcome == Outcome.FAILED) == (result.fault != Fault.NONE)


@pytest.mark.parametrize(
    ("code", "ended_by"), [(486, EndedBy.CALLEE), (603, EndedBy.CALLEE), (404, EndedBy.CARRIER), (503, EndedBy.CARRIER)]
)
def test_who_ended_it_is_told_as_far_as_it_is_known(code: int, ended_by: EndedBy) -> None:
    assert result_of(DialFailed(FailureKind.SIP, sip_status_code=code)).ended_by == ended_by
    assert result_of(DialFailed(FailureKind.TRUNK_UNKNOWN)).ended_by == EndedBy.PLATFORM

"""A worker says that it lives, and learns what was ordered."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from calls.heartbeats import Orders, beat
from calls.models import Call, LineKind
from calls.states import Status
from contacts import suppressions
from contacts.models import SuppressionReason
from tests.call_factories import CLAIM, make_call

pytestmark = pytest.mark.django_db


def suppress(call: Call, *, by: str, simulated: bool = False) -> None:
    suppressions.suppress(
        organization=call.organization,
        number_index=call.number_index,
        reason=SuppressionReason.OPT_OUT_ON_CALL,
        by=by,
        simulated=simulated,
    )


@pytest.mark.parametrize("status", [Status.DISPATCHED, Status.DIALING, Status.RINGING, Status.IN_PROGRESS, Status.TRANSFERRING])
def test_a_beat_is_written_by_the_databases_clock(status: Status) -> None:
    call = make_call(status, heartbeat_at=timezone.now() - timedelta(hours=1))
    assert beat(call_id=call.pk, claim=CLAIM) == Orders()
    assert Call.objects.filter(heartbeat_at__gt=Now() - timedelta(seconds=5), heartbeat_at__lte=Now() + timedelta(seconds=1)).exists()


@pytest.mark.parametrize(("status", "claim"), [(Status.ENDED, CLAIM), (Status.IN_PROGRESS, "f" * 32), (Status.QUEUED, CLAIM)])
def test_who_does_not_hold_the_call_is_told_to_let_go(status: Status, claim: str) -> None:
    call = make_call(status)
    assert beat(call_id=str(call.pk), claim=claim) == Orders(gone=True)
    assert Call.objects.get().heartbeat_at is None


def test_a_cancel_is_learned_by_the_next_beat() -> None:
    call = make_call(Status.IN_PROGRESS, cancel_requested_at=timezone.now())
    assert beat(call_id=call.pk, claim=CLAIM) == Orders(cancel=True)


def test_a_suppression_that_comes_from_elsewhere_is_learned() -> None:
    call = make_call(Status.IN_PROGRESS)
    suppress(call, by="user:1")
    assert beat(call_id=call.pk, claim=CLAIM) == Orders(suppressed=True)


def test_an_opt_out_on_the_very_call_lets_the_assistant_confirm_it() -> None:
    call = make_call(Status.IN_PROGRESS)
    suppress(call, by=f"call:{call.pk}")
    assert beat(call_id=call.pk, claim=CLAIM) == Orders()


def test_no_suppression_ends_a_sandbox_call() -> None:
    call = make_call(Status.IN_PROGRESS, line=LineKind.SANDBOX)
    suppress(call, by="user:1", simulated=True)
    suppress(call, by="user:1")
    assert beat(call_id=call.pk, claim=CLAIM) == Orders()

"""Many who plan a retry, book a callback or call one off at once: real threads, each with a connection of its own."""

from collections import Counter
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from calls import callbacks, cancellation, retries
from calls.callbacks import Wish
from calls.cancellation import CancelResult
from calls.models import Call, CallEvent, CallRequest
from calls.states import Reason, Status
from contacts.models import Consent
from personas.models import PersonaVersion
from tests.call_factories import make_call

from .test_races import at_once

pytestmark = pytest.mark.usefixtures("own_connections")


def tomorrow_at(hour: int) -> datetime:
    return (timezone.now() + timedelta(days=1)).replace(hour=hour, minute=0, second=0, microsecond=0)


def unanswered(version: PersonaVersion) -> Call:
    return make_call(Status.ENDED, version=version, channel="api", retry_at=tomorrow_at(12))


def test_many_queue_workers_make_one_retry_of_a_call(persona_version: PersonaVersion) -> None:
    calls = [unanswered(persona_version) for _ in range(5)]
    at_once(*[retries.plan_due] * 8)
    assert Counter(Call.objects.exclude(retry_of=None).values_list("retry_of", flat=True)) == dict.fromkeys((call.pk for call in calls), 1)
    assert (CallRequest.objects.count(), CallEvent.objects.filter(why="planned").count()) == (5, 5)
    assert Call.objects.exclude(retry_at=None).count() == 0


def test_a_retry_is_either_made_and_canceled_or_never_made(persona_version: PersonaVersion) -> None:
    for _ in range(8):
        call = unanswered(persona_version)
        _planned, result = at_once(
            retries.plan_due, lambda call=call: cancellation.cancel(call=call, by="key:7", reason=Reason.API_CANCELED)
        )
        assert result == CancelResult.RETRY_CALLED_OFF
        assert list(call.retries.values_list("status", "ended_reason")) in ([], [("ended", "api.canceled")])
        assert Call.objects.exclude(retry_at=None).count() == 0


def test_a_wish_that_is_written_by_many_is_one_callback(persona_version: PersonaVersion) -> None:
    call = make_call(Status.IN_PROGRESS, version=persona_version)
    said = timezone.now()
    wishes = [Wish(at=tomorrow_at(10 + minute % 8), asked_at=said + timedelta(seconds=minute)) for minute in range(8)]
    at_once(*[lambda wish=wish: callbacks.book(str(call.pk), wish) for wish in wishes * 2])
    booked = Call.objects.get(callback_of=call)
    # What was said last holds, in whatever order it was written.
    assert (booked.status, booked.due_at, CallRequest.objects.count()) == ("scheduled", tomorrow_at(17), 1)
    assert booked.consent == Consent.objects.filter(channel="call").order_by("obtained_at").last()

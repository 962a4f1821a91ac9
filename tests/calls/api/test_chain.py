"""What follows from a call stands in both: retries and callbacks."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from calls import callbacks, retries
from calls.callbacks import Wish
from calls.models import Call
from calls.states import Status
from personas.models import PersonaVersion
from tests.call_factories import make_call

from .conftest import CALLS, ApiClient

pytestmark = pytest.mark.django_db


def noon() -> datetime:
    return (timezone.now() + timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)


def test_a_retry_and_what_it_tries_again_name_each_other(api: ApiClient, persona_version: PersonaVersion) -> None:
    first = make_call(Status.ENDED, version=persona_version, channel="api", retry_at=noon())
    retries.plan_due()
    second = Call.objects.get(retry_of=first)
    shown = [api.get(f"{CALLS}{call.pk}/").json() for call in (first, second)]
    assert [(call["attempt"], call["retry_of"], call["retries"]) for call in shown] == [(1, None, [str(second.pk)]), (2, str(first.pk), [])]
    canceled = api.post(f"{CALLS}{first.pk}/cancel/").json()
    assert (canceled["status"], canceled["detail"]) == ("ended", "A chamada já tinha terminado. Não é repetida.")
    assert api.get(f"{CALLS}{second.pk}/").json()["ended_reason"] == "api.canceled"


def test_a_callback_and_the_call_in_which_it_was_asked_for_name_each_other(api: ApiClient, persona_version: PersonaVersion) -> None:
    call = make_call(Status.IN_PROGRESS, version=persona_version)
    callbacks.book(str(call.pk), Wish(at=noon(), asked_at=timezone.now()))
    callback = Call.objects.get(callback_of=call)
    shown = [api.get(f"{CALLS}{each.pk}/").json() for each in (call, callback)]
    at = noon().isoformat().replace("+00:00", "Z")
    assert [(each["callback_of"], each["callback"]) for each in shown] == [
        (None, {"id": str(callback.pk), "at": at}),
        (str(call.pk), None),
    ]
    assert (shown[1]["status"], shown[1]["schedule"]["earliest"]) == ("scheduled", at)


def test_a_list_needs_no_more_queries_for_more_chains(api: ApiClient, persona_version: PersonaVersion) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert api.get(CALLS).status_code == 200
        return len(seen)

    def chain() -> None:
        make_call(Status.ENDED, version=persona_version, channel="api", retry_at=noon())
        retries.plan_due()

    chain()
    queries()  # the first notes that the key was used
    few = queries()
    for _ in range(4):
        chain()
    assert (queries(), Call.objects.exclude(retry_of=None).count()) == (few, 5)

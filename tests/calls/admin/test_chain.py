"""A call's page links what it follows from, and what follows from it."""

from datetime import datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone, translation

from accounts.models import User
from calls import callbacks, retries
from calls.admin import page as pages
from calls.callbacks import Wish
from calls.models import Call
from calls.states import Status
from personas.models import PersonaVersion
from tests.call_factories import make_call
from tests.conftest import Login

from .test_call_page import text_of

pytestmark = pytest.mark.django_db


def noon() -> datetime:
    return (timezone.now() + timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)


def links_of(call: Call) -> list[tuple[str, object]]:
    with translation.override("en"):
        return [(link.name, link.call_id) for link in pages.chain(call)]


def test_a_retry_is_linked_both_ways(login: Login, alice: User, persona_version: PersonaVersion) -> None:
    first = make_call(Status.ENDED, version=persona_version, channel="api", retry_at=noon())
    assert links_of(first) == [("It is tried again", None)]
    assert "Before and after It is tried again " in text_of(login, alice, first)
    retries.plan_due()
    first.refresh_from_db()
    second = Call.objects.get(retry_of=first)
    assert (links_of(first), links_of(second)) == ([("It is tried again by", second.pk)], [("It tries again", first.pk)])
    page = login(alice).get(reverse("admin:calls_call_change", args=[first.pk])).content.decode()
    assert f'href="{reverse("admin:calls_call_change", args=[second.pk])}"' in page
    text = text_of(login, alice, first)
    assert "· attempt 2 · Scheduled" in text
    assert "Another try planned · attempt 2 · the retries" in text


def test_a_callback_is_linked_both_ways(login: Login, alice: User, persona_version: PersonaVersion) -> None:
    call = make_call(Status.IN_PROGRESS, version=persona_version)
    callbacks.book(str(call.pk), Wish(at=noon(), asked_at=timezone.now()))
    callback = Call.objects.get(callback_of=call)
    assert (links_of(call), links_of(callback)) == ([("The person asked for", callback.pk)], [("It was asked for in", call.pk)])
    # Lisbon is on UTC, or an hour ahead.
    assert f"Another time {pages._time(noon())} · the conversation" in text_of(login, alice, call)


def test_a_call_on_its_own_has_no_such_card(login: Login, alice: User, persona_version: PersonaVersion) -> None:
    call = make_call(Status.ENDED, version=persona_version)
    assert (links_of(call), "Before and after" in text_of(login, alice, call)) == ([], False)

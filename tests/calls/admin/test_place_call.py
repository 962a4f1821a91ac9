"""Placing a call from a persona's page."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Membership, Role, User
from calls.models import Call, CallRequest
from contacts.models import Consent
from personas import publishing
from personas.models import Persona
from tests.conftest import Login
from tests.factories import published_version
from tests.numbers import pt_mobile

pytestmark = pytest.mark.django_db
PLACE = "/admin/calls/call/place/"


@pytest.fixture
def said() -> dict[str, str]:
    return {
        "phone_number": pt_mobile(5),
        "customer_name": "Ana",
        "purpose": "transactional",
        "basis": "asked at the counter",
        "obtained_on": f"{timezone.localdate():%Y-%m-%d}",
        "priority": "2",
        "line": "sandbox",
    }


def place(login: Login, user: User, persona: Persona, said: dict[str, str], **headers: str) -> Any:
    return login(user).post(f"{PLACE}?persona={persona.pk}", said, HTTP_ACCEPT_LANGUAGE="en", **headers)


def test_the_call_is_made_and_shown(login: Login, bob: User, persona: Persona, said: dict[str, str]) -> None:
    answer = place(login, bob, persona, said, HTTP_USER_AGENT="browser")
    call, consent, kept = Call.objects.get(), Consent.objects.get(), CallRequest.objects.get()
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/admin/calls/call/{call.pk}/change/")
    assert (call.persona, call.number, call.customer_name, call.requested_by, call.line) == (persona, pt_mobile(5), "Ana", bob, "sandbox")
    assert (consent.basis, consent.channel, consent.declared_by, consent.user_agent) == (
        "asked at the counter",
        "staff",
        f"user:{bob.pk}",
        "browser",
    )
    assert (kept.channel, kept.address, kept.request_id) == ("staff", "127.0.0.1", answer.headers["X-Request-ID"])


def test_staff_say_when_the_person_agreed(login: Login, bob: User, persona: Persona, said: dict[str, str]) -> None:
    form = login(bob).get(PLACE, {"persona": persona.pk}).context["form"]
    assert f'value="{timezone.localdate():%Y-%m-%d}"' in str(form["obtained_on"])
    day = timezone.localdate() - timedelta(days=3)
    place(login, bob, persona, said | {"obtained_on": f"{day:%Y-%m-%d}"})
    obtained_at = timezone.localtime(Consent.objects.get().obtained_at)
    assert (obtained_at.date(), obtained_at.hour) == (day, 0)


def test_a_call_is_placed_for_later_and_by_priority(login: Login, bob: User, persona: Persona, said: dict[str, str]) -> None:
    later = timezone.localtime() + timedelta(days=2)
    place(login, bob, persona, said | {"earliest": f"{later:%Y-%m-%dT%H:%M}", "priority": "3"})
    call = Call.objects.get()
    assert (call.status, call.priority, call.due_at) == ("scheduled", 3, later.replace(second=0, microsecond=0))
    assert call.expires_at - call.due_at == timedelta(minutes=15)


def test_the_page_says_who_calls_and_offers_both_lines(login: Login, bob: User, persona: Persona) -> None:
    page = login(bob).get(PLACE, {"persona": persona.pk}, HTTP_ACCEPT_LANGUAGE="en").content.decode()
    assert "A call by Restaurante" in page
    assert "On behalf of Taberna do Cais." in page
    assert "Not available: it is not configured, or not open for this organization." in page


@pytest.mark.usefixtures("phone_line")
def test_the_phone_is_offered_first_where_there_is_one(login: Login, bob: User, persona: Persona) -> None:
    answer = login(bob).get(PLACE, {"persona": persona.pk}, HTTP_ACCEPT_LANGUAGE="en")
    assert answer.context["form"].initial == {"line": "phone"}
    assert "The phone rings." in answer.content.decode()


@pytest.mark.parametrize(
    ("more", "field", "sentence"),
    [
        ({"phone_number": "910000005"}, "phone_number", "The number needs its country code in front: +351 …."),
        ({"phone_number": ""}, "phone_number", "This field is required."),
        ({"basis": ""}, "basis", "This field is required."),
        ({"obtained_on": ""}, "obtained_on", "This field is required."),
        ({"earliest": "2026-01-01T10:00"}, "earliest", "The call was to be made at a time that has passed."),
        ({"earliest": "2999-01-01T10:00"}, "earliest", "A call can be asked for at most 30 days ahead."),
        ({"obtained_on": "2999-01-01"}, "obtained_on", "A consent cannot have been obtained in the future."),
        (
            {"line": "phone"},
            "line",
            "No phone line is configured here: LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET and SIP_TRUNK_ID are needed.",
        ),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    login: Login, bob: User, persona: Persona, said: dict[str, str], more: dict[str, str], field: str, sentence: str
) -> None:
    answer = place(login, bob, persona, said | more)
    assert answer.status_code == 200
    assert answer.context["form"].errors == {field: [sentence]}
    # What was typed is kept.
    assert answer.context["form"]["customer_name"].value() == "Ana"
    assert Call.objects.count() == 0


def test_what_is_nobody_fields_fault_is_said_above(
    login: Login, bob: User, platform_admin: User, persona: Persona, said: dict[str, str]
) -> None:
    publishing.withdraw(by=platform_admin, persona=persona)
    answer = place(login, bob, persona, said)
    assert "This persona is not published yet" in answer.content.decode()
    assert list(answer.context["form"].errors) == ["__all__"]


def test_only_who_may_call_sees_the_form(login: Login, bob: User, carla: User, persona: Persona, said: dict[str, str]) -> None:
    assert place(login, carla, persona, said).status_code == 403
    Membership.objects.filter(user=bob).update(role=Role.AUDITOR)
    assert place(login, bob, persona, said).status_code == 403
    assert Call.objects.count() == 0


@pytest.mark.parametrize("persona_id", ["", "0", "abc", "9" * 30, "٣"])
def test_a_persona_that_is_not_there(login: Login, alice: User, persona_id: str) -> None:
    assert login(alice).get(PLACE, {"persona": persona_id}).status_code == 403


def test_the_persona_of_another_organization_is_not_there(login: Login, alice: User, carla: User, other_organization: Any) -> None:
    theirs = published_version(organization=other_organization, slug="clinica").persona
    assert login(alice).get(PLACE, {"persona": theirs.pk}).status_code == 403
    assert login(carla).get(PLACE, {"persona": theirs.pk}).status_code == 200

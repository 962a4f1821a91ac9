"""An agent knows its call before the phone rings."""

from datetime import UTC, datetime

import pytest
import time_machine
from pytest_django import Settings

from accounts.models import Organization
from accounts.purposes import Purpose
from calls.briefing import brief, facts_of
from calls.models import LineKind
from calls.states import Status
from personas.models import PersonaVersion
from tests.call_factories import make_call, make_consent
from tests.factories import published_version
from tests.numbers import br_mobile, pt_mobile

pytestmark = pytest.mark.django_db


def test_a_briefing_holds_all_that_the_agent_needs(persona_version: PersonaVersion, settings: Settings) -> None:
    settings.TRANSFER_PHONE_NUMBER, settings.REALTIME_MODEL = "", "gpt-realtime-2.1-mini"
    call = make_call(Status.DIALING, version=persona_version, customer_name="Ana", opening_text="Olá, sou a máquina.")
    briefing = brief(call)
    assert (briefing.version, briefing.model, briefing.opening) == (persona_version, "gpt-realtime-2.1-mini", "Olá, sou a máquina.")
    assert "«Olá, sou a máquina.»" in briefing.instructions
    assert briefing.greeting == "Em que posso ajudar?"
    assert "Atendes pela Taberna do Cais." in briefing.instructions
    assert [fact["key"] for fact in briefing.facts] == ["horario"]
    assert briefing.tools == ["lookup_information", "end_call", "register_opt_out", "wrong_number"]
    assert (briefing.transfer_number, briefing.words.customer_name_missing) == ("", "não indicado")
    assert "Ana" not in repr(briefing.facts)


@pytest.mark.parametrize(("of_persona", "expected"), [("", pt_mobile(50)), (pt_mobile(60), pt_mobile(60))])
def test_a_call_can_be_put_through_where_there_is_somebody(
    organization: Organization, settings: Settings, of_persona: str, expected: str
) -> None:
    settings.TRANSFER_PHONE_NUMBER = pt_mobile(50)
    briefing = brief(make_call(Status.DIALING, version=published_version(organization=organization, transfer_number=of_persona)))
    assert briefing.transfer_number == expected
    assert "transfer_to_human" in briefing.tools


def test_a_persona_chooses_its_model(organization: Organization) -> None:
    version = published_version(organization=organization, model="gpt-realtime-2.1")
    assert brief(make_call(Status.DIALING, version=version)).model == "gpt-realtime-2.1"


@pytest.mark.parametrize(("number", "hour"), [(pt_mobile(), 12), (br_mobile(), 9)])
def test_now_is_the_callees_own_time(number: str, hour: int) -> None:
    call = make_call(Status.DIALING, number=number, max_duration_s=150, customer_name="Ana", variables={"table": "4"})
    with time_machine.travel(datetime(2026, 11, 23, 12, 30, tzinfo=UTC), tick=False):
        facts = facts_of(call, transfer_available=False)
    assert (facts.now.hour, facts.now.utcoffset() is not None) == (hour, True)
    assert (facts.max_minutes, facts.customer_name, facts.variables, facts.recording) == (2, "Ana", {"table": "4"}, "off")


def test_the_reason_of_calling_is_what_the_person_agreed_to(organization: Organization) -> None:
    consent = make_consent(organization=organization, purpose=Purpose.MARKETING)
    agreed = make_call(Status.DIALING, organization=organization, consent=consent)
    assert facts_of(agreed, transfer_available=False).purpose == Purpose.MARKETING
    assert facts_of(make_call(line=LineKind.SANDBOX), transfer_available=False).purpose == Purpose.DEMO_CALL

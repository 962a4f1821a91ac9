"""Each rule comes in a pair: one raises the sentence, one asks for it; and the sandbox is refused nothing."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Organization
from calls import policy
from calls.exceptions import CallError, ConsentMissing, OrganizationClosed
from calls.models import LineKind
from calls.policy import Ask
from contacts import suppressions
from contacts.models import SuppressionReason
from contacts.numbers import index_of
from tests.call_factories import make_consent
from tests.numbers import pt_mobile

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _may_phone(organization: Organization) -> None:
    organization.phone_line = True
    organization.save(update_fields=["phone_line"])


def ask(organization: Organization, **about: Any) -> Ask:
    defaults = {"number_index": index_of(pt_mobile()), "line": LineKind.PHONE, "at": timezone.now()}
    if "consent" not in about:
        about["consent"] = make_consent(organization=organization)
    return Ask(organization=organization, **defaults | about)


def suppress(organization: Organization, *, simulated: bool = False) -> None:
    suppressions.suppress(
        organization=organization, number_index=index_of(pt_mobile()), reason=SuppressionReason.API, by="key:1", simulated=simulated
    )


def codes(question: Ask) -> list[str]:
    return [objection.code for objection in policy.objections(question)]


def test_who_agreed_and_did_not_opt_out_may_be_called(organization: Organization) -> None:
    question = ask(organization)
    policy.check_may_call(question)
    assert (policy.may_call(question), policy.first_objection(question), codes(question)) == (True, None, [])


def test_all_objections_are_heard_and_the_first_one_refuses(organization: Organization) -> None:
    suppress(organization)
    question = ask(organization, consent=None)
    assert codes(question) == ["consent.missing", "policy.do_not_call"]
    with pytest.raises(ConsentMissing):
        policy.check_may_call(question)
    assert not policy.may_call(question)


def test_a_consent_is_judged_at_the_time_of_the_call(organization: Organization) -> None:
    question = ask(organization, at=timezone.now() + timedelta(days=31))
    with pytest.raises(CallError) as refusal:
        policy.check_may_call(question)
    assert refusal.value.code == "policy.consent"


def test_the_sandbox_hears_every_rule_and_obeys_none(organization: Organization) -> None:
    suppress(organization, simulated=True)
    question = ask(organization, line=LineKind.SANDBOX, consent=make_consent(organization=organization, simulated=True))
    assert codes(question) == ["policy.do_not_call"]
    assert policy.may_call(question)


def test_the_phone_line_never_reads_what_the_sandbox_wrote(organization: Organization) -> None:
    suppress(organization, simulated=True)
    assert codes(ask(organization)) == []
    assert codes(ask(organization, consent=make_consent(organization=organization, simulated=True))) == ["policy.consent"]


def test_an_organization_without_the_phone_line_phones_nobody_and_may_use_the_sandbox(organization: Organization) -> None:
    organization.phone_line = False
    assert codes(ask(organization)) == ["line.phone_not_available"]
    assert not policy.may_call(ask(organization))
    assert codes(ask(organization, line=LineKind.SANDBOX)) == []


def test_an_organization_that_is_not_active_phones_nobody(organization: Organization) -> None:
    organization.is_active = False
    with pytest.raises(OrganizationClosed):
        policy.check_may_call(ask(organization))
    assert codes(ask(organization, line=LineKind.SANDBOX)) == ["policy.organization"]
    assert policy.may_call(ask(organization, line=LineKind.SANDBOX))

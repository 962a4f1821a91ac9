"""The staff's pages of people, consents, and of whom not to call."""

import pytest
from django.utils import timezone

from accounts.models import Membership, Organization, Role, User
from contacts import consents, numbers, people, suppressions
from contacts.consents import Evidence
from contacts.models import Consent, Contact, Suppression, SuppressionReason
from tests.conftest import Login
from tests.numbers import pt_mobile

pytestmark = pytest.mark.django_db
CONTACTS, CONSENTS, SUPPRESSIONS = "/admin/contacts/contact/", "/admin/contacts/consent/", "/admin/contacts/suppression/"


def contact_of(organization: Organization, n: int = 1, name: str = "Ana") -> Contact:
    return people.know(organization=organization, number=numbers.parse(pt_mobile(n)), name=name)


def consent_of(organization: Organization, n: int = 1) -> Consent:
    evidence = Evidence(
        purpose="transactional",
        basis="order form",
        channel="api",
        text_version="2026-11",
        locale="pt-PT",
        obtained_at=timezone.now(),
        declared_by="key:1",
    )
    index = numbers.index_of(pt_mobile(n))
    prepared = consents.prepare(organization=organization, number_index=index, evidence=evidence, simulated=False)
    return consents.record(prepared, contact=contact_of(organization, n))


def suppression_of(organization: Organization, n: int = 1, *, everywhere: bool = False) -> Suppression:
    return suppressions.suppress(
        organization=organization,
        number_index=numbers.index_of(pt_mobile(n)),
        reason=SuppressionReason.OPT_OUT_ON_CALL,
        by="call:1",
        simulated=False,
        everywhere=everywhere,
    )


def rows(login: Login, user: User, address: str, **query: str) -> int:
    answer = login(user).get(address, query)
    assert answer.status_code == 200
    return int(answer.context["cl"].result_count)


MAKERS = pytest.mark.parametrize(
    ("address", "make"),
    [(CONTACTS, contact_of), (CONSENTS, consent_of), (SUPPRESSIONS, suppression_of)],
    ids=["contacts", "consents", "do not call"],
)


@MAKERS
def test_each_sees_the_own_organizations_rows(
    login: Login, alice: User, bob: User, carla: User, organization: Organization, address: str, make: object
) -> None:
    row = make(organization)  # type: ignore[operator]
    for user, seen in ((alice, 1), (bob, 1), (carla, 0)):
        assert rows(login, user, address) == seen
    one = f"{address}{row.pk}/change/"
    assert [login(user).get(one).status_code for user in (alice, bob, carla)] == [200, 200, 302]


@MAKERS
def test_rows_are_found_by_the_whole_number(login: Login, alice: User, organization: Organization, address: str, make: object) -> None:
    make(organization, 1), make(organization, 2)  # type: ignore[operator]
    assert rows(login, alice, address, q="+351 910 000 001") == 1
    assert rows(login, alice, address, q="910000") == 0
    assert rows(login, alice, address, q=" ") == 2


@MAKERS
def test_numbers_are_masked(login: Login, alice: User, organization: Organization, address: str, make: object) -> None:
    row = make(organization)  # type: ignore[operator]
    for page in (address, f"{address}{row.pk}/change/"):
        assert "910000001" not in login(alice).get(page).content.decode().replace(" ", "")


@MAKERS
def test_nobody_adds_changes_or_deletes(login: Login, platform_admin: User, organization: Organization, address: str, make: object) -> None:
    row = make(organization)  # type: ignore[operator]
    browser = login(platform_admin)
    assert browser.get(f"{address}add/").status_code == 403
    assert browser.post(f"{address}{row.pk}/change/", {"name": "x"}).status_code == 403
    assert browser.post(f"{address}{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_consent_is_taken_back_after_a_question(login: Login, alice: User, organization: Organization) -> None:
    consent = consent_of(organization)
    browser = login(alice)
    change = f"{CONSENTS}{consent.pk}/change/"
    (link,) = [
        link
        for link in (f"{CONSENTS}{consent.pk}/take-back/", f"{CONSENTS}{consent.pk}/take_back/")
        if link in browser.get(change).content.decode()
    ]
    assert "Take the consent back?" in browser.get(link, HTTP_ACCEPT_LANGUAGE="en").content.decode()
    consent.refresh_from_db()
    assert consent.revoked_at is None
    first = browser.post(link, follow=True, HTTP_ACCEPT_LANGUAGE="en").content.decode()
    assert "The consent is taken back." in first
    again = browser.post(link, follow=True, HTTP_ACCEPT_LANGUAGE="en").content.decode()
    assert "The consent is taken back." not in again
    consent.refresh_from_db()
    assert consent.revoked_at is not None
    assert "taken back" in browser.get(CONSENTS, HTTP_ACCEPT_LANGUAGE="en").content.decode()


def test_only_who_may_takes_a_consent_back(login: Login, bob: User, carla: User, organization: Organization) -> None:
    consent = consent_of(organization)
    for user in (bob, carla):
        for link in ("take-back", "take_back"):
            assert login(user).post(f"{CONSENTS}{consent.pk}/{link}/").status_code in (403, 302, 404)
    Membership.objects.filter(user=bob).update(role=Role.AUDITOR)
    login(bob).post(f"{CONSENTS}{consent.pk}/take_back/")
    consent.refresh_from_db()
    assert consent.revoked_at is None


def test_what_binds_every_organization_is_the_platforms_to_see(
    login: Login, alice: User, platform_admin: User, organization: Organization
) -> None:
    suppression_of(organization, everywhere=True)
    assert rows(login, alice, SUPPRESSIONS) == 0
    page = login(platform_admin).get(SUPPRESSIONS, HTTP_ACCEPT_LANGUAGE="en").content.decode()
    assert "every organization" in page


def test_an_own_suppression_names_the_organization(login: Login, alice: User, organization: Organization) -> None:
    suppression_of(organization)
    assert "Taberna do Cais" in login(alice).get(SUPPRESSIONS).content.decode()

from datetime import timedelta

import pytest
import time_machine
from django.db import IntegrityError
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts import api_keys
from accounts.api_keys import Declaration
from accounts.exceptions import (
    ExpiryInThePast,
    HalfADeclaration,
    KeyExpired,
    KeyOfAnInactiveOrganization,
    KeyRevoked,
    KeyUnknown,
    NotAllowed,
    UnknownScope,
)
from accounts.models import ApiKey, Organization, User

DECLARATION = Declaration(purpose="transactional", basis="contact form", text_version="2026-11")


def test_the_key_itself_stands_nowhere(organization: Organization, alice: User) -> None:
    key, raw = api_keys.issue(by=alice, organization=organization, name="site", scopes=["calls:read", "calls:read"])
    row = ApiKey.objects.filter(pk=key.pk).values().get()
    assert raw.startswith("chm_")
    assert len(raw) == 47
    assert [name for name, value in row.items() if raw in str(value)] == []
    assert (key.prefix, key.scopes, key.created_by, key.consent_declared_by) == (raw[:12], ["calls:read"], alice, None)


def test_two_keys_are_never_alike(organization: Organization, alice: User) -> None:
    raw = {api_keys.issue(by=alice, organization=organization, name="site", scopes=[])[1] for _ in range(20)}
    assert len(raw) == 20


def test_a_key_opens_its_organization(api_key: ApiKey, raw_key: str, organization: Organization) -> None:
    assert api_keys.authenticate(raw_key) == api_key
    assert api_keys.authenticate(raw_key).organization == organization


def test_what_is_not_a_key_opens_nothing(raw_key: str) -> None:
    for wrong in (raw_key[:-1], raw_key + "x", raw_key.upper(), "", "chm_"):
        with pytest.raises(KeyUnknown) as refusal:
            api_keys.authenticate(wrong)
        assert (str(refusal.value), refusal.value.code) == ("There is no such API key.", "invalid_key")


def test_a_revoked_key_opens_nothing(api_key: ApiKey, raw_key: str, alice: User) -> None:
    api_keys.revoke(by=alice, key=api_key)
    revoked_at = api_key.revoked_at
    with pytest.raises(KeyRevoked):
        api_keys.authenticate(raw_key)
    api_keys.revoke(by=alice, key=api_key)
    assert api_key.revoked_at == revoked_at


def test_a_key_opens_until_it_expires(organization: Organization, alice: User) -> None:
    end = timezone.now() + timedelta(hours=1)
    _key, raw = api_keys.issue(by=alice, organization=organization, name="site", scopes=[], expires_at=end)
    with time_machine.travel(end - timedelta(seconds=1), tick=False):
        api_keys.authenticate(raw)
    with time_machine.travel(end, tick=False), pytest.raises(KeyExpired):
        api_keys.authenticate(raw)


def test_the_key_of_an_inactive_organization_opens_nothing(raw_key: str, organization: Organization) -> None:
    organization.is_active = False
    organization.save()
    with pytest.raises(KeyOfAnInactiveOrganization):
        api_keys.authenticate(raw_key)


def test_the_last_use_is_written_at_most_once_a_minute(api_key: ApiKey, raw_key: str) -> None:
    start = timezone.now()
    seen = []
    for seconds in (0, 59, 61):
        with time_machine.travel(start + timedelta(seconds=seconds), tick=False):
            assert api_keys.authenticate(raw_key).last_used_at == ApiKey.objects.get().last_used_at
            seen.append(ApiKey.objects.get().last_used_at)
    assert seen[0] == seen[1]
    assert seen[2] - seen[1] == timedelta(seconds=61)


@pytest.mark.django_db
def test_a_used_key_costs_one_query(raw_key: str, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    api_keys.authenticate(raw_key)
    with django_assert_num_queries(1):
        api_keys.authenticate(raw_key)


def test_only_who_manages_keys_makes_changes_and_revokes_them(bob: User, carla: User, api_key: ApiKey, organization: Organization) -> None:
    for user in (bob, carla):
        with pytest.raises(NotAllowed):
            api_keys.issue(by=user, organization=organization, name="mine", scopes=[])
        with pytest.raises(NotAllowed):
            api_keys.change(by=user, key=api_key, name="mine", consent=None)
        with pytest.raises(NotAllowed):
            api_keys.revoke(by=user, key=api_key)
    assert ApiKey.objects.count() == 1


def test_a_key_has_only_scopes_that_there_are(organization: Organization, alice: User) -> None:
    with pytest.raises(UnknownScope) as refusal:
        api_keys.issue(by=alice, organization=organization, name="site", scopes=["calls:read", "all"])
    assert str(refusal.value) == "There is no scope “all”."


def test_a_key_does_not_expire_before_it_is_made(organization: Organization, alice: User) -> None:
    with pytest.raises(ExpiryInThePast):
        api_keys.issue(by=alice, organization=organization, name="site", scopes=[], expires_at=timezone.now())


@pytest.mark.parametrize("missing", ["purpose", "basis", "text_version"])
def test_half_a_declaration_is_none(missing: str) -> None:
    parts = {"purpose": "marketing", "basis": "form", "text_version": "1"} | {missing: ""}
    with pytest.raises(HalfADeclaration):
        Declaration(**parts)


@pytest.mark.django_db
def test_the_database_refuses_half_a_declaration(api_key: ApiKey) -> None:
    with pytest.raises(IntegrityError):
        ApiKey.objects.filter(pk=api_key.pk).update(consent_basis="")


def test_a_declaration_says_who_declared_it_and_when(organization: Organization, alice: User) -> None:
    with time_machine.travel("2026-11-12T10:00:00Z", tick=False):
        key, _raw = api_keys.issue(by=alice, organization=organization, name="site", scopes=[], consent=DECLARATION)
    assert api_keys.declaration_of(key) == DECLARATION
    assert (key.consent_declared_by, key.consent_declared_at.isoformat()) == (alice, "2026-11-12T10:00:00+00:00")  # type: ignore[union-attr]


@pytest.mark.parametrize("bob_role", ["manager"])
def test_another_name_is_not_another_declaration(api_key: ApiKey, alice: User, bob: User) -> None:
    declared_at = api_key.consent_declared_at
    api_keys.change(by=bob, key=api_key, name="new name", consent=api_keys.declaration_of(api_key))
    assert (api_key.name, api_key.consent_declared_by, api_key.consent_declared_at) == ("new name", alice, declared_at)
    api_keys.change(by=bob, key=api_key, name="new name", consent=Declaration("marketing", "form", "2"))
    assert (api_key.consent_purpose, api_key.consent_declared_by) == ("marketing", bob)
    api_keys.change(by=bob, key=api_key, name="new name", consent=None)
    assert (api_keys.declaration_of(api_key), api_key.consent_declared_by, api_key.consent_declared_at) == (None, None, None)

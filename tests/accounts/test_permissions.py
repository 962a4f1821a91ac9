"""The table of roles and actions, cell by cell, as it is meant: a change of the source alone does not change it here."""

import pytest
from django.contrib.auth.models import AnonymousUser

from accounts.exceptions import NotAllowed, OnlyThePlatform
from accounts.models import Organization, Role, User
from accounts.permissions import Action, check_may, check_platform, may, organizations_of
from tests.factories import MembershipFactory, UserFactory

# Columns: owner, manager, operator, auditor.
TABLE = {
    "view_organization": "ompa",
    "edit_organization": "o",
    "view_members": "oma",
    "manage_members": "o",
    "view_keys": "oma",
    "manage_keys": "om",
    "view_personas": "ompa",
    "edit_personas": "om",
    "publish_personas": "om",
    "view_calls": "ompa",
    "place_calls": "omp",
    "cancel_calls": "omp",
    "view_requests": "oma",
    "view_contacts": "ompa",
    "view_consents": "ompa",
    "revoke_consents": "om",
    "view_suppressions": "ompa",
    "suppress": "omp",
}
LETTERS = {Role.OWNER: "o", Role.MANAGER: "m", Role.OPERATOR: "p", Role.AUDITOR: "a"}


def test_every_action_stands_in_the_table() -> None:
    assert set(TABLE) == set(Action.values)


@pytest.mark.parametrize("bob_role", list(Role))
@pytest.mark.parametrize("action", list(Action))
def test_a_role_may_what_the_table_says_and_nothing_else(
    bob: User, bob_role: Role, action: Action, organization: Organization, other_organization: Organization
) -> None:
    expected = LETTERS[bob_role] in TABLE[action]
    assert may(bob, action, organization) is expected
    assert may(bob, action, other_organization) is False
    assert list(organizations_of(bob, action)) == ([organization] if expected else [])


def test_a_refusal_names_the_organization(bob: User, organization: Organization) -> None:
    with pytest.raises(NotAllowed) as refusal:
        check_may(bob, Action.MANAGE_KEYS, organization)
    assert str(refusal.value) == "You may not do this in Taberna do Cais."
    assert refusal.value.code == "not_allowed"


def test_without_an_action_one_has_the_organizations_that_one_belongs_to(
    bob: User, organization: Organization, other_organization: Organization
) -> None:
    MembershipFactory(user=bob, organization=other_organization, role=Role.AUDITOR)
    assert set(organizations_of(bob)) == {organization, other_organization}
    assert list(organizations_of(bob, Action.PLACE_CALLS)) == [organization]


def test_a_platform_administrator_may_everything_everywhere(
    platform_admin: User, organization: Organization, other_organization: Organization
) -> None:
    organization.is_active = False
    organization.save()
    assert set(organizations_of(platform_admin, Action.MANAGE_KEYS)) == {organization, other_organization}
    check_platform(platform_admin)


def test_in_an_organization_that_is_not_active_nobody_may_anything(alice: User, organization: Organization) -> None:
    assert may(alice, Action.VIEW_CALLS, organization)
    organization.is_active = False
    organization.save()
    assert not may(alice, Action.VIEW_CALLS, organization)


def test_who_is_not_active_or_not_logged_in_may_nothing(alice: User, platform_admin: User, organization: Organization) -> None:
    for user in (alice, platform_admin):
        user.is_active = False
        user.save()
        assert not may(user, Action.VIEW_CALLS, organization)
    assert not organizations_of(AnonymousUser(), Action.VIEW_CALLS)


def test_only_platform_administrators_are_the_platform(alice: User, db: None) -> None:
    for user in (alice, UserFactory(is_superuser=True, is_active=False), AnonymousUser()):
        with pytest.raises(OnlyThePlatform):
            check_platform(user)

import pytest
import time_machine
from django.db import IntegrityError

from accounts import organizations
from accounts.exceptions import OnlyThePlatform
from accounts.models import Membership, Organization, Role, User


def make(**fields: object) -> Organization:
    values = {"by": None, "name": "Casa", "slug": "casa", "of_organization": "da Casa", "locale": "pt-PT"}
    return organizations.create(**{**values, **fields})  # type: ignore[arg-type]


def test_a_new_organization_has_the_sandbox_alone_and_its_personas_are_due(alice: User, platform_admin: User) -> None:
    made = make(by=platform_admin, owner=alice)
    assert (made.phone_line, made.phone_line_changed_at, made.personas_seeded_at) == (False, None, None)
    assert Membership.objects.get(organization=made).user == alice
    assert Membership.objects.get(organization=made).role == Role.OWNER


def test_the_platform_itself_makes_one_without_an_owner(db: None) -> None:
    assert list(make().memberships.all()) == []


def test_signing_up_is_not_making_an_organization(alice: User) -> None:
    with pytest.raises(OnlyThePlatform) as refusal:
        make(by=alice)
    assert str(refusal.value) == "Only a platform administrator may do this."
    assert not Organization.objects.filter(slug="casa").exists()


def test_there_is_one_demo_organization(db: None) -> None:
    make(is_demo=True)
    with pytest.raises(IntegrityError):
        make(slug="other", is_demo=True)


def test_the_line_says_who_opened_it_and_when(platform_admin: User, organization: Organization) -> None:
    with time_machine.travel("2026-11-12T10:00:00Z", tick=False):
        organizations.open_phone_line(by=platform_admin, organization=organization)
    assert (organization.phone_line, organization.phone_line_changed_by) == (True, platform_admin)
    with time_machine.travel("2026-11-13T10:00:00Z", tick=False):
        organizations.open_phone_line(by=platform_admin, organization=organization)
    assert f"{organization.phone_line_changed_at:%d}" == "12"
    with time_machine.travel("2026-11-14T10:00:00Z", tick=False):
        organizations.close_phone_line(by=platform_admin, organization=organization)
    assert (organization.phone_line, f"{organization.phone_line_changed_at:%d}") == (False, "14")


def test_an_owner_does_not_open_the_line(alice: User, organization: Organization) -> None:
    for verb in (organizations.open_phone_line, organizations.close_phone_line):
        with pytest.raises(OnlyThePlatform):
            verb(by=alice, organization=organization)
    organization.refresh_from_db()
    assert organization.phone_line is False

import pytest
from django.db import IntegrityError

from accounts import members
from accounts.exceptions import AlreadyAMember, LastOwner, NotAllowed
from accounts.models import Membership, Organization, Role, User
from tests.factories import UserFactory


def test_a_new_person_gets_an_account_without_a_password(alice: User, organization: Organization) -> None:
    membership = members.add(by=alice, organization=organization, email=" New@Example.com ", role=Role.OPERATOR)
    assert (membership.user.email, membership.user.is_staff, membership.role) == ("new@example.com", True, "operator")
    assert membership.user.has_usable_password() is False


def test_somebody_who_has_an_account_keeps_it(alice: User, organization: Organization) -> None:
    known = UserFactory(email="known@example.com", is_staff=False)
    assert members.add(by=alice, organization=organization, email="KNOWN@example.com", role=Role.AUDITOR).user == known
    known.refresh_from_db()
    assert known.is_staff is True


def test_nobody_is_added_twice(alice: User, bob: User, organization: Organization) -> None:
    with pytest.raises(AlreadyAMember):
        members.add(by=alice, organization=organization, email=bob.email, role=Role.MANAGER)
    assert Membership.objects.get(user=bob).role == Role.OPERATOR


def test_only_owners_manage_members(alice: User, bob: User, carla: User, organization: Organization) -> None:
    of_bob = Membership.objects.get(user=bob)
    for user in (bob, carla):
        with pytest.raises(NotAllowed):
            members.add(by=user, organization=organization, email="x@example.com", role=Role.OWNER)
        with pytest.raises(NotAllowed):
            members.change_role(by=user, membership=of_bob, role=Role.OWNER)
        with pytest.raises(NotAllowed):
            members.remove(by=user, membership=of_bob)
    assert not User.objects.filter(email="x@example.com").exists()


def test_a_member_gets_another_role_and_leaves(alice: User, bob: User) -> None:
    of_bob = Membership.objects.get(user=bob)
    members.change_role(by=alice, membership=of_bob, role=Role.OWNER)
    assert Membership.objects.get(user=bob).role == Role.OWNER
    members.change_role(by=alice, membership=of_bob, role=Role.AUDITOR)
    members.remove(by=alice, membership=of_bob)
    assert not Membership.objects.filter(user=bob).exists()


def test_the_last_owner_stays(alice: User, bob: User, membership: Membership) -> None:
    with pytest.raises(LastOwner):
        members.change_role(by=alice, membership=membership, role=Role.MANAGER)
    with pytest.raises(LastOwner):
        members.remove(by=alice, membership=membership)
    members.change_role(by=alice, membership=Membership.objects.get(user=bob), role=Role.OWNER)
    members.remove(by=alice, membership=membership)
    assert [m.user for m in Membership.objects.all()] == [bob]


@pytest.mark.django_db
def test_a_person_has_one_role_in_an_organization(alice: User, organization: Organization) -> None:
    with pytest.raises(IntegrityError):
        Membership.objects.create(organization=organization, user=alice, role=Role.AUDITOR)

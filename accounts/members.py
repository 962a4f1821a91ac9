"""Who belongs to an organization, and in which role."""

from django.db import transaction

from .exceptions import AlreadyAMember, LastOwner
from .models import Membership, Organization, Role, User
from .permissions import Action, check_may


@transaction.atomic
def add(*, by: User, organization: Organization, email: str, role: str) -> Membership:
    """Give a person a place, and the person an account if there is none yet (without a password: the platform sets one).

    Says nothing of whether the person had an account. Raises NotAllowed, AlreadyAMember.
    """
    check_may(by, Action.MANAGE_MEMBERS, organization)
    email = email.strip().lower()
    user = User.objects.filter(email=email).first() or User.objects.create_user(email)
    if not user.is_staff:
        # The admin shows a member only what the role allows, in the organization of the membership.
        user.is_staff = True
        user.save(update_fields=["is_staff"])
    membership, is_new = Membership.objects.get_or_create(organization=organization, user=user, defaults={"role": role})
    if not is_new:
        raise AlreadyAMember
    return membership


@transaction.atomic
def change_role(*, by: User, membership: Membership, role: str) -> None:
    """Give a member another role. Raises NotAllowed, LastOwner."""
    check_may(by, Action.MANAGE_MEMBERS, membership.organization)
    if role != Role.OWNER:
        _check_another_owner(membership)
    membership.role = role
    membership.save(update_fields=["role"])


@transaction.atomic
def remove(*, by: User, membership: Membership) -> None:
    """Take a person's place away. Raises NotAllowed, LastOwner."""
    check_may(by, Action.MANAGE_MEMBERS, membership.organization)
    _check_another_owner(membership)
    membership.delete()


def _check_another_owner(membership: Membership) -> None:
    # Two owners who demote each other at once meet at this lock.
    Organization.objects.select_for_update().get(pk=membership.organization_id)
    owners = Membership.objects.filter(organization=membership.organization_id, role=Role.OWNER)
    if owners.filter(pk=membership.pk).exists() and not owners.exclude(pk=membership.pk).exists():
        raise LastOwner

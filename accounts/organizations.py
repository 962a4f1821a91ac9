"""Organizations: making them, and opening the phone line for them."""

from django.db import transaction
from django.utils import timezone

from .models import Membership, Organization, Role, User
from .permissions import check_platform


@transaction.atomic
def create(
    *, by: User | None, name: str, slug: str, of_organization: str, locale: str, is_demo: bool = False, owner: User | None = None
) -> Organization:
    """A new organization, on the sandbox line only, and `owner` as its owner. `by` None is the platform itself (a command).

    Its personas are due: the queue worker gives them. Raises OnlyThePlatform.
    """
    if by is not None:
        check_platform(by)
    organization = Organization.objects.create(name=name, slug=slug, of_organization=of_organization, locale=locale, is_demo=is_demo)
    if owner:
        Membership.objects.create(organization=organization, user=owner, role=Role.OWNER)
    return organization


def open_phone_line(*, by: User, organization: Organization) -> None:
    """From now on its calls may ring phones, and spend the trunk's money. Raises OnlyThePlatform."""
    _set_phone_line(by=by, organization=organization, is_open=True)


def close_phone_line(*, by: User, organization: Organization) -> None:
    """From now on its calls stay in the sandbox; those that are under way go on. Raises OnlyThePlatform."""
    _set_phone_line(by=by, organization=organization, is_open=False)


def _set_phone_line(*, by: User, organization: Organization, is_open: bool) -> None:
    check_platform(by)
    # Who opened it first stays written when somebody opens it again.
    Organization.objects.filter(pk=organization.pk, phone_line=not is_open).update(
        phone_line=is_open, phone_line_changed_by=by, phone_line_changed_at=timezone.now()
    )
    organization.refresh_from_db(fields=["phone_line", "phone_line_changed_by", "phone_line_changed_at"])

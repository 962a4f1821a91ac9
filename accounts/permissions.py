"""Who may do what: a table of roles and actions, and the questions to it.

Nothing here looks at Django's model permissions: a member's rights follow from the role in the organization that a
thing belongs to. A superuser, a platform administrator, may do all of it everywhere; in an organization that is not
active nobody else may do anything.
"""

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import QuerySet

from .exceptions import NotAllowed, OnlyThePlatform
from .models import Membership, Organization, Role, User

AnyUser = User | AnonymousUser


class Action(models.TextChoices):
    VIEW_ORGANIZATION = "view_organization"
    EDIT_ORGANIZATION = "edit_organization"
    VIEW_MEMBERS = "view_members"
    MANAGE_MEMBERS = "manage_members"
    VIEW_KEYS = "view_keys"
    MANAGE_KEYS = "manage_keys"
    VIEW_PERSONAS = "view_personas"
    EDIT_PERSONAS = "edit_personas"
    PUBLISH_PERSONAS = "publish_personas"
    VIEW_CALLS = "view_calls"
    PLACE_CALLS = "place_calls"
    CANCEL_CALLS = "cancel_calls"
    VIEW_REQUESTS = "view_requests"
    VIEW_CONTACTS = "view_contacts"
    VIEW_CONSENTS = "view_consents"
    REVOKE_CONSENTS = "revoke_consents"
    VIEW_SUPPRESSIONS = "view_suppressions"
    SUPPRESS = "suppress"


_AUDITOR = frozenset(
    {
        Action.VIEW_ORGANIZATION,
        Action.VIEW_MEMBERS,
        Action.VIEW_KEYS,
        Action.VIEW_PERSONAS,
        Action.VIEW_CALLS,
        Action.VIEW_REQUESTS,
        Action.VIEW_CONTACTS,
        Action.VIEW_CONSENTS,
        Action.VIEW_SUPPRESSIONS,
    }
)
_OPERATOR = frozenset(
    {
        Action.VIEW_ORGANIZATION,
        Action.VIEW_PERSONAS,
        Action.VIEW_CALLS,
        Action.PLACE_CALLS,
        Action.CANCEL_CALLS,
        Action.VIEW_CONTACTS,
        Action.VIEW_CONSENTS,
        Action.VIEW_SUPPRESSIONS,
        # Who hears “don't call me” must be able to act on it at once.
        Action.SUPPRESS,
    }
)
_MANAGER = (
    _AUDITOR
    | _OPERATOR
    | {
        Action.MANAGE_KEYS,
        Action.EDIT_PERSONAS,
        Action.PUBLISH_PERSONAS,
        Action.REVOKE_CONSENTS,
    }
)

ROLE_MAY: dict[Role, frozenset[Action]] = {
    Role.OWNER: frozenset(Action),
    Role.MANAGER: _MANAGER,
    Role.OPERATOR: _OPERATOR,
    Role.AUDITOR: _AUDITOR,
}


def organizations_of(user: AnyUser, action: Action | None = None) -> QuerySet[Organization]:
    """The organizations in which `user` may do `action`; without an action, those that the user belongs to."""
    if not user.is_active or not isinstance(user, User):
        return Organization.objects.none()
    if user.is_superuser:
        return Organization.objects.all()
    roles = [role for role, actions in ROLE_MAY.items() if action is None or action in actions]
    memberships = Membership.objects.filter(user=user, role__in=roles)
    return Organization.objects.filter(is_active=True, pk__in=memberships.values("organization"))


def may(user: AnyUser, action: Action, organization: Organization) -> bool:
    """Whether `user` may do `action` in `organization`."""
    return organizations_of(user, action).filter(pk=organization.pk).exists()


def check_may(user: AnyUser, action: Action, organization: Organization) -> None:
    """Raises NotAllowed unless `user` may do `action` in `organization`."""
    if not may(user, action, organization):
        raise NotAllowed(organization=organization.name)


def check_platform(user: AnyUser) -> None:
    """Raises OnlyThePlatform unless `user` is a platform administrator."""
    if not (user.is_active and user.is_superuser):
        raise OnlyThePlatform

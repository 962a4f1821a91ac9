"""What the staff's start page says before anything else."""

from typing import Any

from django.http import HttpRequest

from accounts.permissions import Action, organizations_of

from ..alarms import trunk_trouble


def with_warnings(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's callback for the start page: the trouble of the calls that one may see."""
    sees_all = request.user.is_active and request.user.is_superuser
    organizations = None if sees_all else list(organizations_of(request.user, Action.VIEW_CALLS))
    return {**context, "trunk_trouble": trunk_trouble(organizations), "may_mend_it": sees_all}

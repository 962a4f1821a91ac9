"""What staff have to be told without having asked."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from accounts.models import Organization

from .models import Call, LineKind
from .states import Reason

REMEMBERED_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class TrunkTrouble:
    """Calls end because LiveKit does not know the trunk: how many in the last hour, and when the last one did."""

    calls: int
    last_at: datetime


def trunk_trouble(organizations: Iterable[Organization] | None = None) -> TrunkTrouble | None:
    """Whether calls of these organizations (of all, when none are named) end for want of a trunk; None when since then one rang."""
    failed = Call.objects.filter(ended_reason=Reason.ERROR_CONFIGURATION_TRUNK, ended_at__gte=timezone.now() - REMEMBERED_FOR)
    if organizations is not None:
        failed = failed.filter(organization__in=organizations)
    last = failed.order_by("-ended_at").values("organization", "created_at", "ended_at").first()
    if last is None:
        return None
    later = Call.objects.filter(organization=last["organization"], created_at__gt=last["created_at"], line=LineKind.PHONE)
    if later.exclude(ringing_at=None, answered_at=None).exists():
        return None
    assert last["ended_at"] is not None
    return TrunkTrouble(calls=failed.count(), last_at=last["ended_at"])

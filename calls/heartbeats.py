"""A worker's signs of life while it holds a call, and what it learns from them (design §3, rule 6)."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Now

from contacts.suppressions import is_suppressed

from .models import Call, LineKind
from .states import Status

# A beat every 2 s; one that is older than this means that the worker is gone.
BEAT_EVERY_S = 2.0
STALE_AFTER_S = 8.0


@dataclass(frozen=True, slots=True)
class Orders:
    """What the job has to do: end the call because somebody canceled it, end it because the number must not be called any
    more, or let go of it because it is not (or no longer) this job's."""

    cancel: bool = False
    suppressed: bool = False
    gone: bool = False


def beat(*, call_id: UUID | str, claim: str) -> Orders:
    """Leave a sign of life on the call, by the database's clock, and learn what was ordered meanwhile."""
    if not Call.objects.filter(pk=call_id, claim=claim).exclude(status=Status.ENDED).update(heartbeat_at=Now()):
        return Orders(gone=True)
    call = Call.objects.select_related("organization").defer("number", "customer_name", "variables").get(pk=call_id)
    return Orders(
        cancel=call.cancel_requested_at is not None,
        # No rule refuses anything on the sandbox line; and an opt-out on this very call is being confirmed aloud just now.
        suppressed=call.line == LineKind.PHONE
        and is_suppressed(organization=call.organization, number_index=call.number_index, but_not_by=f"call:{call_id}"),
    )


def stale() -> Q:
    """The calls of which no worker has given a sign of life for `STALE_AFTER_S`, by the database's clock."""
    return Q(heartbeat_at__lt=Now() - timedelta(seconds=STALE_AFTER_S)) | Q(heartbeat_at=None)

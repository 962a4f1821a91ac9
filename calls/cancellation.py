"""Calling a call off: before it rings, while it rings, while people talk.

The wish stands in the call first: from then on no job can begin to dial it (`lifecycle.claim_for_dial`), and one that holds it
learns of it by its next beat. Then the room is deleted, which hangs up the phone, and only then the call has ended.
"""

from datetime import timedelta
from enum import StrEnum

import structlog
from asgiref.sync import async_to_sync
from django.db.models.functions import Now
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from . import lifecycle
from .exceptions import GatewayError
from .gateway import Gateway
from .heartbeats import STALE_AFTER_S
from .models import Call, LineKind
from .states import DIALLED, UNDIALLED, Status

log = structlog.get_logger(__name__)


class CancelResult(StrEnum):
    """What the canceling met, for whoever asked; `sentence` says it."""

    NEVER_RANG = "never_rang"
    WAS_DIALLED = "was_dialled"
    WAS_TALKING = "was_talking"
    HAD_ENDED = "had_ended"
    UNDER_WAY = "under_way"
    RETRY_CALLED_OFF = "retry_called_off"

    @property
    def sentence(self) -> Promise:
        return SENTENCES[self]


SENTENCES: dict[CancelResult, Promise] = {
    CancelResult.NEVER_RANG: _("The call was canceled. The phone never rang."),
    CancelResult.WAS_DIALLED: _("The call was canceled. The phone may have rung."),
    CancelResult.WAS_TALKING: _("The conversation was ended."),
    CancelResult.HAD_ENDED: _("The call had ended already."),
    CancelResult.RETRY_CALLED_OFF: _("The call had ended already. It is not tried again."),
    CancelResult.UNDER_WAY: _("The call is being canceled; the agent hangs up within seconds."),
}


def cancel(*, call: Call, by: str, reason: str) -> CancelResult:
    """Call `call` off, in the name of `by` ("user:42", "key:7"), for `reason` (api.canceled or staff.canceled).

    Asking twice does no harm. A call that was picked up ends as answered. When LiveKit cannot be reached the agent that holds the
    call ends it, within a beat: UNDER_WAY. Of a call that had ended, the retry that is planned, or that nobody has dialled yet, is
    called off.
    """
    asked = Call.objects.filter(pk=call.pk, cancel_requested_at=None).exclude(status=Status.ENDED)
    is_first = asked.update(cancel_requested_at=Now(), cancel_requested_by=by, cancel_reason=reason) == 1
    call.refresh_from_db(fields=lifecycle.CHANGES_HERE)
    if call.status == Status.ENDED and not is_first:
        return CancelResult.RETRY_CALLED_OFF if _call_retry_off(call, by=by, reason=reason) else CancelResult.HAD_ENDED
    # Ended already: a job that came for the call read the wish. Nobody waits in its room.
    if call.status in (Status.DISPATCHED, Status.ENDED) and call.line == LineKind.PHONE:
        _let_go(call)
    if not lifecycle.end_as_canceled(call, by=by, within=UNDIALLED) and call.status != Status.ENDED:
        let_go = _let_go(call) if call.line == LineKind.PHONE else not _is_held(call)
        if not let_go:
            return CancelResult.UNDER_WAY
        lifecycle.end_as_canceled(call, by=by)
    return _met(call)


def _call_retry_off(call: Call, *, by: str, reason: str) -> bool:
    if Call.objects.filter(pk=call.pk, retry_at__isnull=False).update(retry_at=None):
        lifecycle.note_event(call, "retry", by=by, why=reason)
        return True
    # Who was just planning it has committed by now, or found nothing to plan.
    retry = call.retries.first()
    if retry is None or retry.status in DIALLED:
        return False
    return cancel(call=retry, by=by, reason=reason) in (CancelResult.NEVER_RANG, CancelResult.RETRY_CALLED_OFF)


def _met(call: Call) -> CancelResult:
    """How far an ended call had come. The job may have been quicker to write the end that it was told to write."""
    if call.ended_reason != call.cancel_reason:
        return CancelResult.HAD_ENDED
    if call.answered_at:
        return CancelResult.WAS_TALKING
    return CancelResult.WAS_DIALLED if call.dialing_at else CancelResult.NEVER_RANG


def _let_go(call: Call) -> bool:
    """Delete the call's room, which hangs the phone up. False: LiveKit could not be asked."""
    try:
        async_to_sync(_delete_room)(call.room)
    except GatewayError as error:
        log.warning("a canceled call's room could not be deleted", call_id=str(call.pk), kind=error.kind.value)
        return False
    return True


async def _delete_room(room: str) -> None:
    async with Gateway.from_settings() as gateway:
        await gateway.delete_room(room)


def _is_held(call: Call) -> bool:
    """Whether an agent worker gave a sign of life on this call of late: it will hear of the cancel by its next beat."""
    return Call.objects.filter(pk=call.pk, heartbeat_at__gt=Now() - timedelta(seconds=STALE_AFTER_S)).exists()

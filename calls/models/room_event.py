"""What LiveKit told of a room by its webhooks: the second witness of how a call went."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from .call import Call


class RoomEventKind(models.TextChoices):
    """Those of LiveKit's webhooks that say something about a call."""

    JOINED = "participant_joined"
    LEFT = "participant_left"
    ABORTED = "participant_connection_aborted"
    TRACK = "track_published"
    ROOM_FINISHED = "room_finished"


class Who(models.TextChoices):
    """Of whom an event tells. Identities are not kept: those of other people's telephones have their number in it."""

    NOBODY = ""
    CALLEE = "callee"
    AGENT = "agent"
    OTHER = "other"


class RoomEvent(models.Model):
    """One webhook of LiveKit about one of our rooms, reduced to what is used of it.

    It goes with its call; one for a call that is not known here is to go after 30 days, by `received_at`, as payloads of webhooks do.
    """

    # LiveKit sends an event again until it is answered: the second one changes nothing.
    event_id = models.CharField(max_length=64, unique=True)
    kind = models.CharField(max_length=32, choices=RoomEventKind.choices)
    room = models.CharField(max_length=96)
    call = models.ForeignKey(Call, on_delete=models.CASCADE, null=True, related_name="room_events")
    who = models.CharField(max_length=8, choices=Who.choices, blank=True)
    participant_sid = models.CharField(max_length=32, blank=True)
    disconnect_reason = models.CharField(max_length=32, blank=True)
    # `sip.callStatus` of the callee: from `active` on somebody has picked up, the opposite is never proven.
    call_status = models.CharField(max_length=16, blank=True)
    # By LiveKit's clock, in whole seconds; events come late and in any order.
    at = models.DateTimeField()
    received_at = models.DateTimeField(db_default=Now())
    applied_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["at", "pk"]
        indexes = [
            # calls.witness: what came in and is not yet with its call.
            models.Index(fields=["id"], condition=Q(applied_at=None), name="room_events_due"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S} {self.kind} {self.who}".strip()

"""What was said in a call, written as it is said. The journal of a job writes; anybody may read."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max

from .models import Turn, TurnRole


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnDraft:
    """One utterance, or one tool that ran. `item_id` is the model's own id of it; `latency_ms` is from the end of the person's
    speech to the assistant's first sound. The text is what was heard: cut where it was cut."""

    item_id: str
    role: TurnRole
    text: str
    started_at: datetime
    interrupted: bool = False
    latency_ms: int | None = None
    is_opening: bool = False
    tool: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)


def record(call_id: UUID | str, turn: TurnDraft) -> Turn:
    """Write a turn, or correct it: a second one with the same `item_id` replaces the first, in its place.

    May be repeated, by a journal that does not know whether it was heard; also after the call has ended.
    """
    said = {
        "role": turn.role,
        "text": turn.text,
        "started_at": turn.started_at,
        "interrupted": turn.interrupted,
        "latency_ms": turn.latency_ms,
        "is_opening": turn.is_opening,
        "tool": turn.tool,
        "arguments": turn.arguments,
    }
    with transaction.atomic():
        last = Turn.objects.filter(call_id=call_id).aggregate(last=Max("position"))["last"]
        written, _is_new = Turn.objects.update_or_create(
            call_id=call_id, item_id=turn.item_id, defaults=said, create_defaults={**said, "position": 0 if last is None else last + 1}
        )
    return written

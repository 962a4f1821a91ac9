"""A call that follows from another: to the same person, by the same persona, with the same words."""

import uuid
from datetime import datetime
from typing import Any

from contacts.models import Consent

from .briefing import opening_of
from .models import Call


def following(
    call: Call, *, channel: str, consent: Consent | None, at: datetime, due_at: datetime, expires_at: datetime, **links: Any
) -> Call:
    """The next call after `call`, not in the database yet: asked for `at`, to be dialled from `due_at` to `expires_at`."""
    call_id = uuid.uuid4()
    following = Call(
        id=call_id,
        organization=call.organization,
        persona=call.persona,
        persona_version=call.persona_version,
        line=call.line,
        simulated=call.simulated,
        room=f"call_{call.persona_version.slug}_{call_id}",
        contact=call.contact,
        consent=consent,
        number=call.number,
        number_index=call.number_index,
        customer_name=call.customer_name,
        variables=call.variables,
        metadata=call.metadata,
        requested_by_id=call.requested_by_id,
        api_key_id=call.api_key_id,
        channel=channel,
        ring_timeout_s=call.ring_timeout_s,
        max_duration_s=call.max_duration_s,
        priority=call.priority,
        created_at=at,
        due_at=due_at,
        expires_at=expires_at,
        **links,
    )
    following.opening_text = opening_of(following)
    return following

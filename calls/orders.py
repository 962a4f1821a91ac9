"""Who asks for a call, and what for."""

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from accounts.models import ApiKey, Organization, User
from contacts import consents, crypto
from contacts.consents import CLOCKS_DIFFER_BY, Evidence
from contacts.exceptions import ConsentNotYetGiven
from contacts.models import Consent

from .exceptions import Refused, ScheduleEndsTooEarly, ScheduleInThePast, ScheduleTooFar
from .states import Priority

# Requirements §2: what was asked for by API and could not be dialled by then is not wanted any more.
EXPIRES_AFTER = timedelta(minutes=15)
FURTHEST_AHEAD = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """Who asks for a call, and from where. `channel` is "api", "staff", "retry" or "callback"."""

    user: User | None
    api_key: ApiKey | None = None
    address: str | None = None
    channel: str = "api"
    request_id: str = ""
    user_agent: str = ""

    @property
    def name(self) -> str:
        """As events and evidence name it: "key:7", "user:42"."""
        if self.api_key is not None:
            return f"key:{self.api_key.pk}"
        return f"user:{self.user.pk}" if self.user is not None else "nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentClaim:
    """What a person agreed to, as whoever asks for the call says it (R1). `obtained_at` has a zone."""

    purpose: str
    basis: str
    obtained_at: datetime
    text_version: str
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOrder:
    """A call, as it is asked for. What is None is decided here: the published version, the default line, the persona's limits."""

    phone_number: str
    persona: str
    persona_version: int | None = None
    line: str | None = None
    customer_name: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    consent: ConsentClaim | None = None
    ring_timeout_s: int | None = None
    max_duration_s: int | None = None
    priority: Priority = Priority.NORMAL
    # With a zone. None: at once; and a quarter of an hour after that.
    earliest: datetime | None = None
    latest: datetime | None = None

    def __repr__(self) -> str:
        return f"CallOrder({self.persona})"

    def digest(self) -> str:
        """What tells this order from another one, and nothing else: it is kept beside an idempotency key."""
        return crypto.blind_index(json.dumps(asdict(self), sort_keys=True, default=str))


def window_of(order: CallOrder, *, at: datetime) -> tuple[datetime, datetime]:
    """From when to when the call may be dialled.

    Raises ScheduleInThePast, ScheduleTooFar, ScheduleEndsTooEarly. What was to be a moment ago is to be now, as far as clocks agree.
    """
    if min(order.earliest or at, order.latest or at) < at - CLOCKS_DIFFER_BY:
        raise ScheduleInThePast
    earliest = max(order.earliest or at, at)
    latest = order.latest or earliest + EXPIRES_AFTER
    if order.latest and latest <= earliest:
        raise ScheduleEndsTooEarly
    if max(earliest, order.latest or earliest) > at + FURTHEST_AHEAD:
        raise ScheduleTooFar(days=FURTHEST_AHEAD.days)
    return earliest, latest


def evidence_for(
    organization: Organization, by: Requester, order: CallOrder, number_index: str, *, locale: str, at: datetime, simulated: bool
) -> Consent | None:
    """The evidence that comes with the order, or the declaration of the key; not in the database yet.

    Raises Refused (policy.consent), on every line, for a consent of the future.
    """
    claim, key = order.consent, by.api_key
    if claim is not None:
        try:
            consents.check_given(claim.obtained_at, at=at)
        except ConsentNotYetGiven as not_yet:
            raise Refused(code=not_yet.code, sentence=str(not_yet)) from None
        evidence = Evidence(
            purpose=claim.purpose,
            basis=claim.basis,
            channel=by.channel,
            text_version=claim.text_version,
            locale=locale,
            obtained_at=claim.obtained_at,
            declared_by=by.name,
            reference=claim.reference,
            address=by.address,
            user_agent=by.user_agent,
        )
    elif key is not None and key.consent_purpose:
        evidence = Evidence(
            purpose=key.consent_purpose,
            basis=key.consent_basis,
            channel="api_key_declaration",
            text_version=key.consent_text_version,
            locale=locale,
            # People agreed before this was declared, and who took it back since did not agree again.
            obtained_at=key.consent_declared_at or at,
            holds_from=at,
            declared_by=f"user:{key.consent_declared_by_id}",
            address=by.address,
            user_agent=by.user_agent,
        )
    else:
        return None
    return consents.prepare(organization=organization, number_index=number_index, evidence=evidence, simulated=simulated)

"""Asking for a call: once and only once, and every asking is kept (R14)."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import Organization
from contacts import consents, numbers, people
from contacts.exceptions import BadNumber
from contacts.numbers import PhoneNumber
from personas import publishing
from personas.exceptions import PersonaError
from personas.models import PersonaVersion

from . import idempotency, lifecycle, lines, policy
from .briefing import opening_of
from .exceptions import CallError, NumberInCall, Refused, VariablesUnknown
from .idempotency import Promise
from .models import Call, CallRequest, LineKind
from .orders import CallOrder, ConsentClaim, Requester, evidence_for, window_of

log = structlog.get_logger(__name__)

NUMBER_KEPT = 64
NAME_SHOWN = 64

__all__ = ["Accepted", "CallOrder", "ConsentClaim", "Requester", "keep_made", "refuse", "request_call"]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The call that a request made, or had made before under its idempotency key: then `replayed`, with the `answer` of then."""

    call: Call
    answer: dict[str, Any]
    replayed: bool


def _no_answer(call: Call) -> dict[str, Any]:
    return {"id": str(call.pk)}


def request_call(
    *,
    organization: Organization,
    by: Requester,
    order: CallOrder,
    idempotency_key: str | None = None,
    answer: Callable[[Call], dict[str, Any]] = _no_answer,
) -> Accepted:
    """Put a call into the queue, in one transaction with its contact, its consent and the record of the request.

    `answer` makes of the new call what an idempotency key answers for the next 24 hours (JSON).
    Raises a CallError for each refusal, and keeps that request too: Refused (number.bad, persona.…, policy.…), VariablesUnknown,
    ScheduleWrong, ConsentMissing, PhoneLineNotAvailable, NumberInCall, OtherBody, StillAnswering.
    """
    try:
        accepted = _request(organization, by, order, idempotency_key, answer)
    except CallError as refusal:
        refuse(by=by, code=refusal.code, organization=organization, phone_number=order.phone_number, persona=order.persona)
        raise
    if accepted.replayed:
        _keep(by, code="replayed", organization=organization, persona=order.persona, number=order.phone_number, call=accepted.call)
    return accepted


def refuse(*, by: Requester, code: str, organization: Organization | None = None, phone_number: str = "", persona: str = "") -> CallRequest:
    """Keep a request that was refused: by a rule, or before any was asked (not JSON, too long, too many)."""
    log.info("request for a call refused", code=code, by=by.name, request_id=by.request_id)
    return _keep(by, code=code, organization=organization, persona=persona, number=phone_number, call=None)


def keep_made(*, by: Requester, call: Call) -> CallRequest:
    """Keep that the platform made a call which follows from another: a retry, a callback (R14)."""
    return _keep(by, code="accepted", organization=call.organization, persona=call.persona_version.slug, number=call.number, call=call)


def _keep(by: Requester, *, code: str, organization: Organization | None, persona: str, number: str, call: Call | None) -> CallRequest:
    return CallRequest.objects.create(
        organization=organization,
        api_key=by.api_key,
        user=by.user,
        address=by.address,
        channel=by.channel,
        request_id=by.request_id[:64],
        number=number[:NUMBER_KEPT],
        number_index=call.number_index if call else _index_if_readable(number),
        # Who mixes up the fields puts the number there; here nothing encrypts it.
        persona=numbers.without_numbers(persona)[:64],
        accepted=call is not None,
        code=code,
        call=call,
    )


def _index_if_readable(number: str) -> str:
    try:
        return numbers.index_of(numbers.parse(number).e164)
    except BadNumber:
        return ""


def _request(
    organization: Organization, by: Requester, order: CallOrder, key: str | None, answer: Callable[[Call], dict[str, Any]]
) -> Accepted:
    try:
        number = numbers.parse(order.phone_number)
    except BadNumber as bad:
        raise Refused(code=bad.code, sentence=str(bad)) from None
    if key is None:
        return _accept(organization, by, order, number, None, answer)
    promise = Promise(organization=organization, key=key, body_digest=order.digest())
    with idempotency.waiting():
        try:
            return _accept(organization, by, order, number, promise, answer)
        except idempotency.KeyIsTaken:
            record = idempotency.recall(promise)
            if record is not None:
                return Accepted(record.call, record.answer, replayed=True)
            return _accept(organization, by, order, number, promise, answer)


def _accept(
    organization: Organization,
    by: Requester,
    order: CallOrder,
    number: PhoneNumber,
    promise: Promise | None,
    answer: Callable[[Call], dict[str, Any]],
) -> Accepted:
    now = timezone.now()
    call_id = uuid.uuid4()
    with transaction.atomic():
        # First of all: who asks again with the same key waits here.
        record = idempotency.hold(promise, call_id=call_id) if promise else None
        version = _version_for(organization, order)
        _check_variables(version, order)
        window = window_of(order, at=now)
        line = LineKind(order.line) if order.line else lines.default_line(organization)
        lines.check_may_use(organization, line)
        index = numbers.index_of(number.e164)
        consent = evidence_for(organization, by, order, index, locale=version.locale, at=now, simulated=line == LineKind.SANDBOX)
        # The rules are asked about the time for which the call is wanted.
        ask = policy.Ask(organization=organization, number_index=index, line=line, consent=consent, at=window[0])
        policy.check_may_call(ask)
        contact = people.know(organization=organization, number=number, name=order.customer_name)
        if consent is not None:
            consents.record(consent, contact=contact)
        call = _new_call(call_id, organization, by, order, number, version, line, window, at=now)
        call.contact, call.consent = contact, consent
        call.opening_text = opening_of(call)
        # What the rules would have said on the phone line is for everybody to read.
        _start(call, by=by.name, objections=[] if ask.refuses else [said.code for said in policy.objections(ask)])
        said = answer(call)
        if record is not None:
            idempotency.keep(record, answer=said)
        _keep(by, code="accepted", organization=organization, persona=order.persona, number=order.phone_number, call=call)
    return Accepted(call, said, replayed=False)


def _new_call(
    call_id: uuid.UUID,
    organization: Organization,
    by: Requester,
    order: CallOrder,
    number: PhoneNumber,
    version: PersonaVersion,
    line: LineKind,
    window: tuple[datetime, datetime],
    *,
    at: datetime,
) -> Call:
    return Call(
        id=call_id,
        organization=organization,
        persona_id=version.persona_id,
        persona_version=version,
        line=line,
        simulated=line == LineKind.SANDBOX,
        room=f"call_{version.slug}_{call_id}",
        number=number.e164,
        number_index=numbers.index_of(number.e164),
        customer_name=order.customer_name,
        variables=order.variables,
        metadata=order.metadata,
        requested_by=by.user,
        api_key=by.api_key,
        channel=by.channel,
        # A persona's limits can be tightened, never loosened.
        ring_timeout_s=min(order.ring_timeout_s or version.ring_timeout_s, version.ring_timeout_s),
        max_duration_s=min(order.max_duration_s or version.max_duration_s, version.max_duration_s),
        priority=order.priority,
        created_at=at,
        due_at=window[0],
        expires_at=window[1],
    )


def _version_for(organization: Organization, order: CallOrder) -> PersonaVersion:
    try:
        return publishing.version_for(organization=organization, persona=order.persona, version=order.persona_version)
    except PersonaError as unusable:
        raise Refused(code=unusable.code, sentence=numbers.without_numbers(str(unusable))) from None


def _check_variables(version: PersonaVersion, order: CallOrder) -> None:
    """A misspelt variable would leave a hole in what the persona is told."""
    if unknown := [name for name in order.variables if name not in version.variables]:
        raise VariablesUnknown(names=numbers.without_numbers(", ".join(name[:NAME_SHOWN] for name in unknown)))


def _start(call: Call, *, by: str, objections: list[str]) -> None:
    try:
        lifecycle.start(call, by=by, facts={"policy": objections} if objections else None)
    except IntegrityError as error:
        if "one_call_per_number" in str(error) or "number_index" in str(error):
            raise NumberInCall from None
        raise

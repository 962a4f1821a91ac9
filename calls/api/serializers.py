"""The shapes of requests and answers. What may be asked for is decided in the domain, not here."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.purposes import Purpose
from contacts.numbers import mask
from personas.templating import MAX_VALUE

from ..models import Call, LineKind, Turn, TurnRole
from ..states import EndedBy, Fault, Outcome, Priority, Status
from ..waiting import Why

# A client's own words for a call: enough for ids and a note, too little for a document.
MOST_VARIABLES = 40
MOST_METADATA = 40
LONGEST_METADATA = 4096  # bytes of JSON
PRIORITIES = [(priority.name.lower(), priority.label) for priority in Priority]


class Strict(serializers.Serializer[Any]):
    """Refuses fields that it does not know, so that a misspelt one is not silently without effect."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = [name for name in data if name not in self.fields]
            if unknown:
                raise serializers.ValidationError({name: [_("There is no such field.")] for name in unknown}, code="unknown")
        return super().to_internal_value(data)


class Text(serializers.CharField):
    """A string, and only a string: DRF's own takes numbers for text as well."""

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if data is not serializers.empty and data is not None and not isinstance(data, str):
            self.fail("invalid")
        return super().run_validation(data)


class Moment(serializers.DateTimeField):
    """A time with its zone: DRF's own takes a date, or a time of nowhere, for one of the server's zone."""

    default_error_messages = {"no_zone": _("The time needs its zone: 2026-11-23T18:00:00Z.")}

    def enforce_timezone(self, value: datetime) -> datetime:
        if timezone.is_naive(value):
            self.fail("no_zone")
        return super().enforce_timezone(value)


class WholeNumber(serializers.IntegerField):
    """A whole number, and only a number: DRF's own takes "5" and true for numbers as well."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return super().to_internal_value(data)


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "integer"}]})
class PersonaName(Text):
    """A persona by its slug, or by its id."""

    def run_validation(self, data: Any = serializers.empty) -> Any:
        return super().run_validation(str(data) if isinstance(data, int) and not isinstance(data, bool) else data)


class ConsentClaimed(Strict):
    """What a person agreed to, when, and where that can be looked up (R1)."""

    purpose = serializers.ChoiceField(choices=Purpose.choices)
    basis = Text(max_length=255, help_text=_("How it was given, in words: “order form, box ticked”."))
    obtained_at = Moment(help_text=_("When it was given, with its zone."))
    text_version = Text(max_length=64, help_text=_("Which wording was agreed to."))
    reference = Text(max_length=255, required=False, default="", allow_blank=True, help_text=_("Your own id of the evidence."))


class StartCall(Strict):
    """A call, in the three fields of the site."""

    phone_number = Text(max_length=64, help_text="E.164: +351…")
    persona = PersonaName(max_length=64, help_text=_("The persona's slug, or its id."))
    customer_name = Text(max_length=120, required=False, default="", allow_blank=True)
    consent = ConsentClaimed(
        required=False, default=None, allow_null=True, help_text=_("Not needed with a key that carries a declaration.")
    )


class ScheduleAsked(Strict):
    """When the call is to be dialled."""

    earliest = Moment(required=False, default=None, allow_null=True, help_text=_("With its zone; at most 30 days ahead. Empty: at once."))
    latest = Moment(
        required=False,
        default=None,
        allow_null=True,
        help_text=_("A call that could not be dialled by then ends as schedule.expired. Empty: 15 minutes after the earliest time."),
    )


class NewCall(StartCall):
    """A call, with all that can be said about it."""

    persona_version = WholeNumber(required=False, default=None, allow_null=True, min_value=1, help_text=_("Empty: the published one."))
    line = serializers.ChoiceField(
        choices=LineKind.choices,
        required=False,
        default=None,
        allow_null=True,
        help_text=_("Empty: the phone line when it is available to you, else the sandbox, where no phone rings."),
    )
    variables = serializers.DictField(
        child=Text(max_length=MAX_VALUE, allow_blank=True), required=False, default=dict, help_text=_("Words for the persona's prompt.")
    )
    metadata = serializers.DictField(required=False, default=dict, help_text=_("Yours: kept and given back, never read."))
    schedule = ScheduleAsked(required=False, default=None, allow_null=True, help_text=_("Empty: at once."))
    priority = serializers.ChoiceField(
        choices=PRIORITIES,
        required=False,
        default=Priority.NORMAL.name.lower(),
        help_text=_("Which of the calls that are due comes first. A line's limits hold for all."),
    )
    ring_timeout_s = WholeNumber(required=False, default=None, allow_null=True, min_value=5, max_value=80)
    max_duration_s = WholeNumber(required=False, default=None, allow_null=True, min_value=30, max_value=1800)
    organization = Text(
        max_length=50, required=False, default="", help_text=_("Its slug: only for people who belong to several organizations.")
    )

    def validate_priority(self, priority: str) -> Priority:
        return Priority[priority.upper()]

    def validate_variables(self, variables: dict[str, str]) -> dict[str, str]:
        if len(variables) > MOST_VARIABLES:
            raise serializers.ValidationError(_("At most %(most)s variables.") % {"most": MOST_VARIABLES}, code="max_length")
        return variables

    def validate_metadata(self, metadata: dict[str, Any]) -> dict[str, Any]:
        if len(metadata) > MOST_METADATA:
            raise serializers.ValidationError(_("At most %(most)s entries.") % {"most": MOST_METADATA}, code="max_length")
        if len(json.dumps(metadata, ensure_ascii=False).encode()) > LONGEST_METADATA:
            raise serializers.ValidationError(_("At most %(most)s kB of JSON.") % {"most": LONGEST_METADATA // 1024}, code="max_length")
        return metadata


class PersonaOfCall(serializers.Serializer[Any]):
    slug = serializers.CharField()
    version = serializers.IntegerField(source="number")


class Sip(serializers.Serializer[Any]):
    status_code = serializers.IntegerField(source="sip_status_code", allow_null=True)
    status = serializers.CharField(source="sip_status")
    call_id = serializers.CharField(source="sip_call_id")


class Opening(serializers.Serializer[Any]):
    spoken = serializers.CharField(source="opening_spoken", help_text=_("stored, rendered, or model; empty: not yet"))
    heard_to_end = serializers.BooleanField(source="opening_heard_to_end", allow_null=True)
    at_ms = serializers.IntegerField(source="opening_at_ms", allow_null=True, help_text=_("From the answer to its first sound."))


class Schedule(serializers.Serializer[Any]):
    earliest = serializers.DateTimeField(source="due_at")
    latest = serializers.DateTimeField(source="expires_at")


class QueueAnswer(serializers.Serializer[Any]):
    """How a call waits."""

    position = serializers.IntegerField(allow_null=True, help_text=_("1: the next one; null: not in the queue yet. Counted up to 1,000."))
    more_than = serializers.BooleanField(help_text=_("Whether there are still more calls before it."))
    why = serializers.ChoiceField(choices=Why.choices)
    until = serializers.DateTimeField(allow_null=True, help_text=_("The earliest time at which it may be dialled, where that is known."))


class CallbackAnswer(serializers.Serializer[Call]):
    """The call that the person asked for in conversation."""

    id = serializers.UUIDField()
    at = serializers.DateTimeField(source="due_at")


class Said(serializers.ChoiceField):
    """One of a column's words; null as long as the column says nothing."""

    def __init__(self, choices: Any, **kwargs: Any) -> None:
        super().__init__(choices=choices, allow_null=True, **kwargs)

    def to_representation(self, value: Any) -> Any:
        return value or None


class Word(serializers.CharField):
    """A word; null as long as there is none."""

    def to_representation(self, value: Any) -> Any:
        return value or None


class CallAnswer(serializers.Serializer[Call]):
    """A call. What is not known yet is null."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=Status.choices)
    line = serializers.ChoiceField(choices=LineKind.choices)
    simulated = serializers.BooleanField(help_text=_("Nobody's phone rings: the sandbox line."))
    room = serializers.CharField(help_text=_("The call's room in LiveKit."))
    organization = serializers.SlugField(source="organization.slug")
    persona = PersonaOfCall(source="persona_version")
    phone_number = serializers.SerializerMethodField(help_text=_("Masked."))
    metadata = serializers.JSONField()
    attempt = serializers.IntegerField()
    retry_of = serializers.UUIDField(
        source="retry_of_id", allow_null=True, help_text=_("The call that nobody answered, and that this one tries again.")
    )
    retries = serializers.SerializerMethodField(help_text=_("The call that tries this one again, if one does."))
    callback_of = serializers.UUIDField(
        source="callback_of_id", allow_null=True, help_text=_("The call in which the person asked for this one.")
    )
    callback = serializers.SerializerMethodField(help_text=_("The call at another time that the person asked for in this one."))
    ring_timeout_s = serializers.IntegerField()
    max_duration_s = serializers.IntegerField()
    outcome = Said(Outcome.choices)
    ended_reason = Word(allow_null=True, help_text=_("A dotted code: callee.hangup, dial.busy, policy.do_not_call, …"))
    ended_by = Said(EndedBy.choices)
    fault = serializers.SerializerMethodField()
    retryable = serializers.SerializerMethodField(help_text=_("Whether another call may do better."))
    note = serializers.CharField(help_text=_("What the platform says of it, in a sentence."))
    priority = serializers.SerializerMethodField()
    schedule = Schedule(source="*", help_text=_("When it may be dialled."))
    queue = QueueAnswer(
        read_only=True,
        allow_null=True,
        help_text=_("How it waits, where one call is asked for at its status_url; else, or when it does not: null."),
    )
    created_at = serializers.DateTimeField()
    queued_at = serializers.DateTimeField(allow_null=True)
    dispatched_at = serializers.DateTimeField(allow_null=True)
    dialing_at = serializers.DateTimeField(allow_null=True)
    ringing_at = serializers.DateTimeField(allow_null=True)
    answered_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    duration_s = serializers.IntegerField(allow_null=True, help_text=_("Whole seconds from answer to end."))
    sip = Sip(source="*")
    opening = Opening(source="*")
    latency = serializers.JSONField(help_text=_("From the person's last word to the first of the answer: count, p50, p90, p95, p99 (ms)."))
    usage = serializers.JSONField(help_text=_("Tokens by modality."))
    status_url = serializers.URLField(read_only=True)
    transcript_url = serializers.URLField(read_only=True)
    cancel_url = serializers.URLField(read_only=True)

    def get_phone_number(self, call: Call) -> str:
        return mask(call.number)

    @extend_schema_field(serializers.ListField(child=serializers.UUIDField()))
    def get_retries(self, call: Call) -> list[str]:
        # A call that has not ended is not tried again: nothing to look up for one that was just asked for.
        return [str(retry.pk) for retry in call.retries.all()] if call.ended_at else []

    @extend_schema_field(CallbackAnswer(allow_null=True))
    def get_callback(self, call: Call) -> dict[str, Any] | None:
        callback = next(iter(call.callbacks.all()), None) if call.answered_at else None
        return None if callback is None else CallbackAnswer().to_representation(callback)

    @extend_schema_field(serializers.ChoiceField(choices=PRIORITIES))
    def get_priority(self, call: Call) -> str:
        return Priority(call.priority).name.lower()

    @extend_schema_field(Said(Fault.choices))
    def get_fault(self, call: Call) -> str | None:
        return call.fault if call.ended_at else None

    def get_retryable(self, call: Call) -> bool | None:
        return call.retryable if call.ended_at else None


class TurnAnswer(serializers.Serializer[Turn]):
    """One utterance, or a tool that ran in between."""

    role = serializers.ChoiceField(choices=TurnRole.choices)
    text = serializers.CharField()
    started_at = serializers.DateTimeField()
    interrupted = serializers.BooleanField(help_text=_("Cut where it was heard, when the person spoke over it."))
    opening = serializers.BooleanField(source="is_opening")
    latency_ms = serializers.IntegerField(allow_null=True)
    tool = Word(allow_null=True, help_text=_("The tool's name; null for what was said."))
    arguments = serializers.JSONField()


class TranscriptAnswer(serializers.Serializer[Any]):
    """What was said, in order."""

    turns = TurnAnswer(many=True)


class CancelledCall(CallAnswer):
    """The call as it is now, and what the canceling met."""

    detail = serializers.CharField()


class CallPage(serializers.Serializer[Any]):
    """A page of calls, newest first."""

    next = serializers.URLField(allow_null=True, help_text=_("The address of the next page."))
    results = CallAnswer(many=True)


class FieldError(serializers.Serializer[Any]):
    pointer = serializers.CharField(required=False, help_text=_("Where in the body: /consent/purpose"))
    parameter = serializers.CharField(required=False, help_text=_("Which parameter of the address."))
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemAnswer(serializers.Serializer[Any]):
    """Problem details (RFC 9457)."""

    type = serializers.CharField(help_text="urn:chamada:problem:<code>")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField(help_text=_("Stays the same; the words may change."))
    request_id = serializers.CharField()
    errors = FieldError(many=True)  # type: ignore[assignment]  # the name that RFC 9457's example uses

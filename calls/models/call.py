"""One dial to one number."""

import uuid
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey, Organization
from accounts.purposes import Purpose
from contacts.crypto import EncryptedJSONField, EncryptedTextField
from contacts.models import Consent, Contact
from personas.models import Persona, PersonaVersion

from ..states import HOLDS_THE_NUMBER, UNDIALLED, EndedBy, Fault, Outcome, Priority, Reason, Status
from .line import LineKind

# Not wanted any more, and nobody has dialled.
IS_CANCELED = Q(cancel_requested_at__isnull=False, status__in=sorted(UNDIALLED))


class CallQuerySet(models.QuerySet["Call"]):
    def for_briefing(self) -> Self:
        """With all that a call is made of, in one query."""
        return self.select_related("organization", "persona_version", "persona", "consent", "contact")


class Call(models.Model):
    """One dial to one number, from the request to the true end. A retry is another Call.

    `status` and the columns that go with it are written by `calls.lifecycle` alone.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="calls", verbose_name=_("organization"))
    persona = models.ForeignKey(Persona, on_delete=models.PROTECT, related_name="calls", verbose_name=_("persona"))
    persona_version = models.ForeignKey(PersonaVersion, on_delete=models.PROTECT, related_name="calls", verbose_name=_("persona version"))
    line = models.CharField(_("line"), max_length=8, choices=LineKind.choices)
    simulated = models.BooleanField(_("simulated"), default=False)
    room = models.CharField(_("room"), max_length=96, unique=True)

    contact = models.ForeignKey(Contact, on_delete=models.SET_NULL, null=True, related_name="calls", verbose_name=_("contact"))
    consent = models.ForeignKey(Consent, on_delete=models.PROTECT, null=True, blank=True, related_name="calls", verbose_name=_("consent"))
    number = EncryptedTextField(_("number"))
    number_index = models.CharField(max_length=64, db_index=True, editable=False)
    customer_name = EncryptedTextField(_("name given"), blank=True)
    variables = EncryptedJSONField(_("variables"), default=dict, blank=True)
    metadata = models.JSONField(_("the client's metadata"), default=dict, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("asked for by")
    )
    api_key = models.ForeignKey(ApiKey, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("API key"))
    channel = models.CharField(_("through"), max_length=16, blank=True, help_text=_("api, staff, callback"))
    retry_of = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="retries", verbose_name=_("retry of")
    )
    attempt = models.PositiveSmallIntegerField(_("attempt"), default=1)
    # Written with the end; emptied by `calls.retries` in the transaction that makes the retry, or by whoever calls it off.
    retry_at = models.DateTimeField(_("to be retried at"), null=True, blank=True, editable=False)
    callback_of = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="callbacks", verbose_name=_("callback of")
    )
    ring_timeout_s = models.PositiveSmallIntegerField(_("rings at most (s)"))
    max_duration_s = models.PositiveSmallIntegerField(_("lasts at most (s)"))

    status = models.CharField(_("status"), max_length=16, choices=Status.choices)
    # Whoever may act on the call knows it: the dialer makes one, the job shows it (design: rules 2 and 3).
    claim = models.CharField(max_length=32, blank=True, editable=False)
    worker = models.CharField(_("worker"), max_length=96, blank=True, editable=False)
    heartbeat_at = models.DateTimeField(_("last sign of life"), null=True, blank=True, editable=False)
    cancel_requested_at = models.DateTimeField(_("cancel asked for at"), null=True, blank=True, editable=False)
    cancel_requested_by = models.CharField(max_length=64, blank=True, editable=False)
    cancel_reason = models.CharField(max_length=64, blank=True, editable=False)

    created_at = models.DateTimeField(_("requested at"), default=timezone.now, editable=False)
    priority = models.PositiveSmallIntegerField(_("priority"), choices=Priority.choices, default=Priority.NORMAL)
    due_at = models.DateTimeField(_("not before"), default=timezone.now)
    expires_at = models.DateTimeField(_("not after"))
    queued_at = models.DateTimeField(_("queued at"), null=True, blank=True)
    dispatched_at = models.DateTimeField(_("given to an agent at"), null=True, blank=True)
    dialing_at = models.DateTimeField(_("dialled at"), null=True, blank=True)
    ringing_at = models.DateTimeField(_("rang at"), null=True, blank=True)
    answered_at = models.DateTimeField(_("answered at"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    changed_at = models.DateTimeField(_("changed at"), default=timezone.now)

    outcome = models.CharField(_("outcome"), max_length=16, choices=Outcome.choices, blank=True)
    ended_reason = models.CharField(_("reason"), max_length=64, blank=True)
    ended_by = models.CharField(_("ended by"), max_length=16, choices=EndedBy.choices, blank=True)
    fault = models.CharField(_("fault"), max_length=16, choices=Fault.choices, default=Fault.NONE)
    retryable = models.BooleanField(_("worth another try"), default=False)
    note = models.CharField(_("what the platform says of it"), max_length=255, blank=True)
    sip_status_code = models.PositiveSmallIntegerField(_("SIP status code"), null=True, blank=True)
    sip_status = models.CharField(_("SIP status"), max_length=64, blank=True)
    sip_call_id = models.CharField(_("SIP call id"), max_length=128, blank=True)

    opening_text = models.TextField(_("opening"), blank=True)
    opening_spoken = models.CharField(_("how the opening was spoken"), max_length=16, blank=True, help_text=_("stored, rendered, or model"))
    opening_heard_to_end = models.BooleanField(_("opening heard to its end"), null=True, blank=True)
    opening_at_ms = models.PositiveIntegerField(_("answer → opening (ms)"), null=True, blank=True)
    usage = models.JSONField(_("usage"), default=dict, blank=True)
    latency = models.JSONField(_("latency"), default=dict, blank=True)

    objects = CallQuerySet.as_manager()

    class Meta:
        verbose_name = _("call")
        verbose_name_plural = _("calls")
        ordering = ["-created_at", "-id"]
        constraints = [
            # calls.requests and the promotion of scheduled calls: a phone is held by one call, over all organizations.
            models.UniqueConstraint(
                fields=["number_index"], condition=Q(line=LineKind.PHONE, status__in=sorted(HOLDS_THE_NUMBER)), name="one_call_per_number"
            ),
            # everybody who reads an ended call: it says when, how and why; one that has not ended says none of it.
            models.CheckConstraint(
                condition=(Q(status=Status.ENDED, ended_at__isnull=False) & ~Q(outcome="") & ~Q(ended_reason=""))
                | (~Q(status=Status.ENDED) & Q(ended_at=None, outcome="", ended_reason="")),
                name="an_end_has_a_time_an_outcome_and_a_reason",
            ),
            # calls.retries: whatever crashes or runs twice, a call is retried once; and only one that has ended.
            models.UniqueConstraint(fields=["retry_of"], condition=Q(retry_of__isnull=False), name="one_retry_per_call"),
            models.CheckConstraint(condition=Q(retry_at=None) | Q(status=Status.ENDED), name="only_an_ended_call_waits_for_a_retry"),
            # calls.callbacks: who asks again in the same call moves the callback; a journal that is written twice makes no second one.
            models.UniqueConstraint(fields=["callback_of"], condition=Q(callback_of__isnull=False), name="one_callback_per_call"),
            # statistics: what was simulated is exactly what the sandbox line carried.
            models.CheckConstraint(
                condition=Q(line=LineKind.SANDBOX, simulated=True) | Q(line=LineKind.PHONE, simulated=False),
                name="sandbox_calls_are_simulated",
            ),
            # R1: no phone rings without evidence that its owner agreed. The sandbox rings nobody's.
            models.CheckConstraint(condition=Q(line=LineKind.SANDBOX) | Q(consent__isnull=False), name="no_phone_call_without_a_consent"),
        ]
        indexes = [
            # calls.places and calls.waiting: the head of each organization's queue for a line, and what stands before a call. The last
            # column lets those whose time is over be passed over without a look at their rows.
            models.Index(
                fields=["line", "organization", "-priority", "due_at", "expires_at"], condition=Q(status=Status.QUEUED), name="calls_due"
            ),
            # calls.schedule: what has come to its time.
            models.Index(fields=["due_at"], condition=Q(status=Status.SCHEDULED), name="calls_scheduled"),
            # calls.schedule: what nobody dialled in time, and what is not wanted any more.
            models.Index(fields=["expires_at"], condition=Q(status__in=sorted(UNDIALLED)), name="calls_expiring"),
            models.Index(fields=["cancel_requested_at"], condition=IS_CANCELED, name="calls_canceled"),
            # calls.retries: what is to be put on the schedule.
            models.Index(fields=["retry_at"], condition=Q(retry_at__isnull=False), name="calls_to_retry"),
            # calls.places: the places of a line that are taken.
            models.Index(fields=["line", "status"], condition=~Q(status=Status.ENDED), name="calls_alive"),
            # calls.alarms: what ended for want of a trunk, of late.
            models.Index(fields=["-ended_at"], condition=Q(ended_reason=Reason.ERROR_CONFIGURATION_TRUNK), name="calls_without_a_trunk"),
            # the lists of the API and of the admin, newest first.
            models.Index(fields=["organization", "-created_at", "-id"], name="calls_of_an_organization"),
        ]

    def __str__(self) -> str:
        return f"{self.persona_version.slug} · {self.created_at:%Y-%m-%d %H:%M}"

    @property
    def purpose(self) -> Purpose:
        """Why the person is called, as they agreed to it. A sandbox call that nobody agreed to is a demonstration."""
        return Purpose(self.consent.purpose) if self.consent else Purpose.DEMO_CALL

    @property
    def duration_s(self) -> int | None:
        """Whole seconds from answer to end; None for a call that nobody answered or that has not ended."""
        return int((self.ended_at - self.answered_at).total_seconds()) if self.answered_at and self.ended_at else None

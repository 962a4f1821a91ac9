"""Placing a call from a persona's page."""

from datetime import date, datetime, time
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.permissions import Action, may
from accounts.purposes import Purpose
from contacts.exceptions import ConsentNotYetGiven
from personas.models import Persona

from ..api.addresses import client_address
from ..api.problems import kind_of, request_id
from ..exceptions import CallError
from ..lines import default_line, may_use
from ..models import LineKind
from ..requests import CallOrder, ConsentClaim, Requester, request_call
from ..states import Priority

CHANNEL = "staff"
# What the staff's declaration stands for, until the organization words its own.
TEXT_VERSION = "staff.1"
# As a browser sends it, in the site's own zone.
DATE_AND_TIME = "%Y-%m-%dT%H:%M"
FIELD_HERE = {"consent": "basis", "schedule": "earliest"}


class PlaceForm(forms.Form):
    """Whom to call, and how they agreed. Whether the call may be made is the domain's to say."""

    phone_number = forms.CharField(
        label=_("Phone number"),
        max_length=64,
        help_text=_("With its country code: +351 912 345 678."),
        widget=forms.TextInput({"type": "tel"}),
    )
    customer_name = forms.CharField(label=_("Name"), max_length=120, required=False, help_text=_("As the persona may say it."))
    purpose = forms.ChoiceField(label=_("What the person agreed to"), choices=Purpose.choices, initial=Purpose.TRANSACTIONAL)
    basis = forms.CharField(
        label=_("How the person agreed"), max_length=255, help_text=_("As you could prove it: “asked at the counter on Monday”.")
    )
    obtained_on = forms.DateField(
        label=_("When the person agreed"), initial=timezone.localdate, widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d")
    )
    earliest = forms.DateTimeField(
        label=_("Not before"),
        required=False,
        input_formats=[DATE_AND_TIME],
        widget=forms.DateTimeInput({"type": "datetime-local"}, format=DATE_AND_TIME),
        help_text=_("Empty: at once. A call that could not be dialled within 15 minutes after it ends."),
    )
    priority = forms.TypedChoiceField(
        label=_("Priority"), choices=Priority.choices, initial=Priority.NORMAL, coerce=lambda value: Priority(int(value))
    )
    line = forms.ChoiceField(label=_("Line"), choices=LineKind.choices, widget=forms.RadioSelect)

    def clean_obtained_on(self) -> date:
        day: date = self.cleaned_data["obtained_on"]
        if day > timezone.localdate():
            raise forms.ValidationError(str(ConsentNotYetGiven()))
        return day


def place_call(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """The form, and what it asks for. The persona is the one of `?persona=<id>`, of an organization where `request.user` may call."""
    persona = _persona_of(request)
    has_phone = may_use(persona.organization, LineKind.PHONE)
    form = PlaceForm(request.POST or None, initial={"line": default_line(persona.organization)})
    if request.method == "POST" and form.is_valid():
        try:
            accepted = request_call(organization=persona.organization, by=_requester(request), order=_order(persona, form.cleaned_data))
        except CallError as refusal:
            field = FIELD_HERE.get(kind_of(refusal.code).field, kind_of(refusal.code).field)
            form.add_error(field if field in form.fields else None, str(refusal))
        else:
            return HttpResponseRedirect(reverse("admin:calls_call_change", args=[accepted.call.pk]))
    return TemplateResponse(request, "admin/calls/call/place.html", {**context, "form": form, "persona": persona, "has_phone": has_phone})


def _persona_of(request: HttpRequest) -> Persona:
    number = request.GET.get("persona", "")
    personas = Persona.objects.select_related("organization", "published")
    persona = personas.filter(pk=int(number)).first() if number.isascii() and number.isdigit() and len(number) < 18 else None
    if persona is None or not may(request.user, Action.PLACE_CALLS, persona.organization):
        raise PermissionDenied
    return persona


def _requester(request: HttpRequest) -> Requester:
    assert isinstance(request.user, User)
    return Requester(
        user=request.user,
        api_key=None,
        address=client_address(request),
        channel=CHANNEL,
        request_id=request_id(),
        user_agent=request.headers.get("User-Agent", ""),
    )


def _order(persona: Persona, said: dict[str, Any]) -> CallOrder:
    consent = ConsentClaim(
        purpose=said["purpose"], basis=said["basis"], obtained_at=_moment_of(said["obtained_on"]), text_version=TEXT_VERSION, reference=""
    )
    return CallOrder(
        phone_number=said["phone_number"],
        persona=str(persona.pk),
        line=LineKind(said["line"]),
        customer_name=said["customer_name"],
        consent=consent,
        earliest=said["earliest"],
        priority=said["priority"],
    )


def _moment_of(day: date) -> datetime:
    """Today is now. Of another day nobody knows the hour: its first, so that no consent holds longer than it may."""
    if day == timezone.localdate():
        return timezone.now()
    return timezone.make_aware(datetime.combine(day, time.min))

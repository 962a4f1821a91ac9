"""The forms that personas are edited and previewed with. What is wrong with a text is `personas.checking`'s to say."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.utils import timezone
from django.utils.text import capfirst, slugify
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from accounts.locales import Locale
from accounts.models import Organization
from accounts.purposes import Purpose

from . import voices
from .checking import problems_of, problems_of_fact
from .models import Fact, Persona, PersonaVersion
from .prompts import CallFacts
from .publishing import TEXT_FIELDS
from .widgets import AnalysisField, LinesField, ToolsField

ZONES = {Locale.PT_PT: "Europe/Lisbon", Locale.PT_BR: "America/Sao_Paulo", Locale.EN: "Europe/London"}


def voice_choices() -> list[tuple[str, str]]:
    return [(voice.name, f"{voice.name} · {voice.note}" if voice.note else voice.name) for voice in voices.VOICES.values()]


def model_choices() -> list[tuple[str, str]]:
    """The platform's default first; a model that is going away says when."""
    choices = [("", str(_("the platform's: {model}")).format(model=settings.REALTIME_MODEL))]
    for model in voices.MODELS.values():
        notes = [str(model.note)] if model.note else []
        if model.shuts_down:
            notes.append(str(_("shuts down on {day}")).format(day=model.shuts_down.isoformat()))
        choices.append((model.name, " · ".join([model.name, *notes])))
    return choices


class PersonaForm(forms.ModelForm[Persona]):
    voice = forms.ChoiceField(label=_("voice"), choices=voice_choices, initial=voices.DEFAULT_VOICE, widget=UnfoldAdminSelectWidget)
    model = forms.ChoiceField(label=_("model"), choices=model_choices, required=False, widget=UnfoldAdminSelectWidget)
    tools = ToolsField(label=_("tools"), help_text=_("The last three belong to every persona: nobody can take them away."))
    never = LinesField(label=_("what it never does"), rows=8, help_text=_("One rule a line."))
    variables = LinesField(
        label=_("variables of the call"),
        rows=3,
        help_text=_("One name a line, usable as {{ name }} above. Who asks for a call may give values; one that is not given is empty."),
    )
    try_saying = LinesField(label=_("things to say to it"), rows=4, help_text=_("One a line, for the site."))
    sample_call = LinesField(
        label=_("sample call"), rows=6, help_text=_("What the scripted caller of the sandbox says, in order, one a line.")
    )
    analysis = AnalysisField(
        label=_("fields to draw from a call"),
        rows=6,
        help_text=_("One a line: “people: number”, “interest: choice high | low”. Types: string, number, boolean, choice."),
    )

    class Meta:
        model = Persona
        fields = ("organization", "slug", "is_public", *TEXT_FIELDS)
        widgets = {
            "instructions": UnfoldAdminTextareaWidget(attrs={"rows": 28, "class": "font-mono"}),
            "greeting": UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.label = capfirst(field.label)

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"]
        # Of a row that stays in its organization, Django leaves this one out.
        taken = Persona.objects.filter(organization=self.instance.organization_id, slug=slug).exclude(pk=self.instance.pk)
        if self.instance.pk and taken.exists():
            raise forms.ValidationError(_("There is another persona with this slug."))
        return slug

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        # A text is judged with all of its fields in place: a variable is known when the persona declares it.
        for field, sentences in problems_of(self.instance).items():
            if field in self.fields and field not in self.errors:
                self.add_error(field, sentences)


class FactForm(forms.ModelForm[Fact]):
    aliases = LinesField(label=_("what callers say"), rows=3, help_text=_("Other words for it, one a line."))

    class Meta:
        model = Fact
        fields = ("title", "value", "aliases", "key")
        widgets = {"value": UnfoldAdminTextareaWidget(attrs={"rows": 3})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "key" not in self.fields:
            # The page is only read.
            return
        self.fields["key"].required = False
        # What a fact is called stays: what was drawn from calls may name it.
        self.fields["key"].disabled = self.instance.pk is not None
        self.fields["key"].help_text = _("Its name in lists. Empty: made from the title.")

    def clean_key(self) -> str:
        title = str(self.cleaned_data.get("title", ""))
        key: str = self.cleaned_data["key"] or slugify(title).replace("-", "_")[:64]
        if title and not key:
            raise forms.ValidationError(_("No key can be made from this title: write one, in letters from a to z."))
        return key

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        for field, sentences in problems_of_fact({"value": self.instance.value, "aliases": self.instance.aliases}).items():
            self.add_error(field, sentences)


class PreviewForm(forms.Form):
    """A call to try the prompt on. Nothing of it is kept."""

    version = forms.ChoiceField(label=_("Text"), required=False, widget=UnfoldAdminSelectWidget)
    customer_name = forms.CharField(
        label=_("Name given"), max_length=120, required=False, initial="Ana Lopes", widget=UnfoldAdminTextInputWidget
    )
    purpose = forms.ChoiceField(label=_("Purpose"), choices=Purpose.choices, required=False, widget=UnfoldAdminSelectWidget)
    max_minutes = forms.IntegerField(
        label=_("Minutes at most"), min_value=1, max_value=30, required=False, widget=UnfoldAdminIntegerFieldWidget
    )
    transfer_available = forms.BooleanField(label=_("Somebody takes transfers"), required=False, widget=UnfoldBooleanSwitchWidget)

    def __init__(self, data: Mapping[str, Any] | None, *, versions: list[PersonaVersion], draft: PersonaVersion) -> None:
        initial = {"purpose": Purpose.DEMO_CALL, "max_minutes": max(1, draft.persona.max_duration_s // 60), "version": ""}
        super().__init__(data, initial=initial)
        self.by_number = {"": draft} | {str(version.number): version for version in versions}
        choices = [("", _("the draft, as saved"))] + [(number, str(version)) for number, version in self.by_number.items() if number]
        self.fields["version"].choices = choices  # type: ignore[attr-defined]
        for name in sorted({name for version in self.by_number.values() for name in version.variables}):
            self.fields[f"variable_{name}"] = forms.CharField(label=name, max_length=300, required=False, widget=UnfoldAdminTextInputWidget)

    def chosen(self) -> PersonaVersion:
        """The text to preview: the draft, until the form says otherwise."""
        return self.by_number[self._value("version")]

    def call_facts(self, organization: Organization) -> CallFacts:
        """The example call, now, where the persona's language is spoken."""
        version = self.chosen()
        return CallFacts(
            organization=organization.name,
            of_organization=organization.of_organization,
            purpose=self._value("purpose") or Purpose.DEMO_CALL,
            now=now_where(version.locale),
            max_minutes=int(self._value("max_minutes") or self.get_initial_for_field(self.fields["max_minutes"], "max_minutes")),
            customer_name=self._value("customer_name"),
            transfer_available=bool(self._value("transfer_available")),
            variables={name: self._value(f"variable_{name}") for name in version.variables},
        )

    def _value(self, name: str) -> Any:
        if self.is_bound and self.is_valid():
            return self.cleaned_data[name]
        return self.get_initial_for_field(self.fields[name], name) or ""


def now_where(locale: str) -> datetime:
    """The time of day in the largest place where a language is spoken: a preview has no callee with a zone."""
    return timezone.now().astimezone(ZoneInfo(ZONES[Locale(locale)]))

"""Editing a persona's draft, trying the prompt, publishing."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin_scope import Row, ScopedStackedInline, ScopedTabularInline, action, display
from accounts.permissions import Action, may
from accounts.purposes import Purpose
from personas import publishing
from personas.checking import MAX_FACTS
from personas.exceptions import PersonaError, TemplateError
from personas.forms import FactForm, PersonaForm, PreviewForm
from personas.models import Fact, Persona, PersonaVersion
from personas.opening import opening_text
from personas.prompts import greeting_for, parts_for
from personas.tools_registry import tools_for

from .reading import RETRIES, ReadableAdmin, lines, readable

# The page of the app to the right on which staff place a call.
PLACE_A_CALL = "admin:calls_call_place"


class FactInline(ScopedStackedInline):
    model = Fact
    form = FactForm
    extra = 0
    max_num = MAX_FACTS
    tab = True
    collapsible = True
    fields = ("title", "value", "aliases", "key")
    verbose_name_plural = gettext_lazy("facts")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.fields if self.has_change_permission(request, obj) else ("title", "value", "readable_aliases")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if self.has_change_permission(request, obj) else ("readable_aliases",)

    @admin.display(description=gettext_lazy("what callers say"))
    def readable_aliases(self, fact: Fact) -> SafeString | str:
        return lines(fact.aliases)

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        return super().get_formset(request, obj, **{**kwargs, "validate_max": True})


class VersionInline(ScopedTabularInline):
    model = PersonaVersion
    may_edit = False
    extra = 0
    tab = True
    hide_title = True
    fields = readonly_fields = ("page", "published_at", "published_by", "voice")
    verbose_name_plural = gettext_lazy("versions")

    @admin.display(description=gettext_lazy("version"))
    def page(self, version: PersonaVersion) -> SafeString:
        address = reverse("admin:personas_personaversion_change", args=[version.pk])
        return format_html('<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>', address, version.number)


@admin.register(Persona)
class PersonaAdmin(ReadableAdmin):
    view_action = Action.VIEW_PERSONAS
    add_action = change_action = delete_action = Action.EDIT_PERSONAS
    form = PersonaForm
    inlines = (FactInline, VersionInline)
    list_display = ("name", "slug", "state", "locale", "voice", "organization", "is_public", "changed_at")
    list_filter = ("locale", "is_public", "organization")
    list_select_related = ("organization", "published")
    search_fields = ("name", "slug", "summary")
    ordering = ("organization__name", "name")
    prepopulated_fields = {"slug": ("name",)}
    actions_detail: Any = ("place_call", "preview", "publish", "withdraw")
    warn_unsaved_form = True
    _who = ("organization", "name", "slug", "role_name", "summary", "locale", "self_gender", "fictional_business", "is_public")
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("state_in_words", *_who)}),
        (gettext_lazy("What it is told"), {"classes": ["tab"], "fields": ("opening", "greeting", "instructions", "never", "variables")}),
        (gettext_lazy("Voice"), {"classes": ["tab"], "fields": ("voice", "model", "speed", "reasoning_effort", "temperature")}),
        (gettext_lazy("Call"), {"classes": ["tab"], "fields": ("tools", "transfer_number", "ring_timeout_s", "max_duration_s", *RETRIES)}),
        (gettext_lazy("Site and sandbox"), {"classes": ["tab"], "fields": ("try_saying", "sample_call", "analysis")}),
    )
    add_fieldsets: Any = (
        (None, {"fields": _who}),
        (gettext_lazy("What it is told"), {"classes": ["tab"], "fields": ("greeting", "instructions", "never", "variables")}),
        *fieldsets[2:],
    )

    # --- Columns --------------------------------------------------------------------------------------------------------
    @display(
        description=gettext_lazy("State"), label={"published": "success", "changed": "warning", "draft": "default"}, ordering="published"
    )
    def state(self, persona: Persona) -> tuple[str, str | Promise]:
        if persona.published is None:
            return "draft", _("withdrawn") if persona.versions.exists() else _("never published")
        if publishing.changes_of(persona):
            return "changed", _("version {number}, changed since").format(number=persona.published.number)
        return "published", _("version {number}").format(number=persona.published.number)

    @admin.display(description=gettext_lazy("State"))
    def state_in_words(self, persona: Persona) -> str | Promise:
        return self.state(persona)[1]

    @admin.display(description=gettext_lazy("the platform's opening"))
    def opening(self, persona: Persona) -> SafeString:
        """Said before the greeting whatever staff write; one for each reason of calling."""
        note = _("Every call begins with it, by the reason of calling. It is the platform's and cannot be changed.")
        openings = [
            (
                purpose.label,
                opening_text(
                    locale=persona.locale,
                    gender=persona.self_gender,
                    of_organization=persona.organization.of_organization,
                    organization=persona.organization.name,
                    purpose=purpose,
                ),
            )
            for purpose in Purpose
        ]
        row = '<p class="leading-relaxed mb-2"><span class="text-base-500 text-xs">{}</span><br>{}</p>'
        return format_html(
            '<div class="bg-base-50 border border-base-200 px-3 py-2 rounded-default dark:bg-base-800 dark:border-base-700">'
            '<p class="mb-2"><span class="material-symbols-outlined text-base align-middle">lock</span> {}</p>{}</div>',
            note,
            format_html_join("\n", row, openings),
        )

    # --- Forms ----------------------------------------------------------------------------------------------------------
    def get_queryset(self, request: HttpRequest) -> QuerySet[Persona]:
        return super().get_queryset(request).prefetch_related("fact_rows")

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        return fieldsets if obj is None or self.has_change_permission(request, obj) else readable(fieldsets)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        fields = [*super().get_readonly_fields(request, obj), "state_in_words", "opening"]
        # The API names it by its slug.
        return [*fields, "slug"] if obj and obj.versions.exists() else fields

    def get_prepopulated_fields(self, _request: HttpRequest, obj: Model | None = None) -> dict[str, Any]:
        return {} if obj else dict(self.prepopulated_fields)

    def get_inlines(self, _request: HttpRequest, obj: Any) -> Any:
        return self.inlines if obj else (FactInline,)

    def has_delete_permission(self, request: HttpRequest, obj: Row = None) -> bool:
        # What was published may have been heard: calls keep their version.
        is_kept = isinstance(obj, Persona) and obj.versions.exists()
        return not is_kept and super().has_delete_permission(request, obj)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        # New facts stand at the end, in the order in which they were written.
        last = max((fact.position for fact in form.instance.fact_rows.all()), default=0)
        for place, fact_form in enumerate(getattr(formset, "extra_forms", []), 1):
            fact_form.instance.position = last + place
        super().save_formset(request, form, formset, change)

    # --- Buttons --------------------------------------------------------------------------------------------------------
    def has_publish_permission(self, request: HttpRequest, obj: Row = None) -> bool:
        return self._may(request, Action.PUBLISH_PERSONAS, obj)

    def has_withdraw_permission(self, request: HttpRequest, obj: Row = None) -> bool:
        persona = self.get_object(request, str(obj))
        return persona is not None and persona.published is not None and self.has_publish_permission(request, persona)

    def has_call_permission(self, request: HttpRequest, obj: Row = None) -> bool:
        persona = self.get_object(request, str(obj))
        return persona is not None and persona.published is not None and may(request.user, Action.PLACE_CALLS, persona.organization)

    @action(description=gettext_lazy("Place a call"), icon="call", permissions=["call"], url_path="call")
    def place_call(self, request: HttpRequest, object_id: str) -> HttpResponse:
        persona = self.row_or_denied(request, object_id, Action.PLACE_CALLS)
        return HttpResponseRedirect(f"{reverse(PLACE_A_CALL)}?{urlencode({'persona': persona.pk})}")

    @action(description=gettext_lazy("Preview the prompt"), icon="visibility", permissions=["view"], url_path="preview")
    def preview(self, request: HttpRequest, object_id: str) -> HttpResponse:
        persona = self.row_or_denied(request, object_id, Action.VIEW_PERSONAS)
        form = PreviewForm(request.GET or None, versions=[*persona.versions.all()], draft=publishing.draft_of(persona))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("What the model gets: {persona}").format(persona=persona.name),
            "persona": persona,
            "form": form,
            "back": self._page_of(persona),
            **self._preview(form, persona),
        }
        return TemplateResponse(request, "personas/preview.html", context)

    def _preview(self, form: PreviewForm, persona: Persona) -> dict[str, Any]:
        version, call = form.chosen(), form.call_facts(persona.organization)
        opening = opening_text(
            locale=version.locale,
            gender=version.self_gender,
            of_organization=call.of_organization,
            organization=call.organization,
            purpose=call.purpose,
        )
        try:
            parts = parts_for(version, call)
            text = "".join(part.text for part in parts)
            return {
                "opening": opening,
                "greeting": greeting_for(version, call),
                "parts": parts,
                "words": len(text.split()),
                "characters": len(text),
                "tools": tools_for(version.tools, has_facts=bool(version.facts), transfer_available=call.transfer_available),
            }
        except TemplateError as error:
            return {"opening": opening, "problem": str(error)}

    @action(description=gettext_lazy("Publish"), icon="publish", permissions=["publish"], url_path="publish")
    def publish(self, request: HttpRequest, object_id: str) -> HttpResponse:
        persona = self.row_or_denied(request, object_id, Action.PUBLISH_PERSONAS)
        back = self._page_of(persona)
        changes = publishing.changes_of(persona)
        if not changes:
            self.message_user(request, _("What is published says the same: there is nothing to publish."), messages.INFO)
            return HttpResponseRedirect(back)
        page = self.confirm(
            request,
            title=_("Publish {persona}?").format(persona=persona.name),
            sentences=[
                _("From now on calls are made with this text. Calls that were asked for keep theirs."),
                self._changes(persona, changes),
            ],
            button=_("Publish"),
            back=back,
        )
        if page is not None:
            return page
        try:
            version = publishing.publish(by=request.user, persona=persona)  # type: ignore[arg-type]
        except PersonaError as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
        else:
            self.message_user(request, _("Version {number} is published.").format(number=version.number), messages.SUCCESS)
        return HttpResponseRedirect(back)

    def _changes(self, persona: Persona, changes: list[str]) -> str:
        if persona.published is None:
            return _("It is not published now.")
        titles = [str(PersonaVersion._meta.get_field(name).verbose_name) for name in changes]  # type: ignore[union-attr]
        return _("Changed since version {number}: {fields}.").format(number=persona.published.number, fields=", ".join(titles))

    @action(description=gettext_lazy("Withdraw"), icon="unpublished", permissions=["withdraw"], url_path="withdraw")
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        persona = self.row_or_denied(request, object_id, Action.PUBLISH_PERSONAS)
        back = self._page_of(persona)
        page = self.confirm(
            request,
            title=_("Withdraw {persona}?").format(persona=persona.name),
            sentences=[_("No call can be asked for with it until it is published again. Calls that were asked for go on.")],
            button=_("Withdraw"),
            back=back,
            is_danger=True,
        )
        if page is not None:
            return page
        publishing.withdraw(by=request.user, persona=persona)  # type: ignore[arg-type]
        self.message_user(request, _("The persona is withdrawn."), messages.SUCCESS)
        return HttpResponseRedirect(back)

    def _page_of(self, persona: Persona) -> str:
        return reverse("admin:personas_persona_change", args=[persona.pk])

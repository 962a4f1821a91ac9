"""What was published: read, never changed."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from accounts.permissions import Action
from personas.models import PersonaVersion

from .reading import RETRIES, ReadableAdmin, readable


@admin.register(PersonaVersion)
class PersonaVersionAdmin(ReadableAdmin):
    organization_path = "persona__organization"
    view_action = Action.VIEW_PERSONAS
    list_display = ("name", "number", "persona", "locale", "published_at", "published_by")
    list_filter = ("persona",)
    list_select_related = ("persona", "published_by")
    ordering = ("persona__name", "-number")
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("persona", "number", "published_at", "published_by")}),
        (_("Who it is"), {"fields": ("name", "role_name", "summary", "locale", "self_gender", "fictional_business")}),
        (_("What it is told"), {"fields": ("greeting", "instructions", "never", "variables")}),
        (_("Voice"), {"fields": ("voice", "model", "speed", "reasoning_effort", "temperature")}),
        (_("Call"), {"fields": ("tools", "transfer_number", "ring_timeout_s", "max_duration_s", *RETRIES)}),
        (_("Facts"), {"fields": ("readable_facts",)}),
        (_("Site and sandbox"), {"fields": ("try_saying", "sample_call", "analysis")}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> list[Any]:
        return readable(super().get_fieldsets(request, obj))

    @admin.display(description=_("facts"))
    def readable_facts(self, version: PersonaVersion) -> SafeString | str:
        rows = ((fact["title"], fact["value"], ", ".join(fact["aliases"])) for fact in version.facts)
        row = '<div class="mb-3"><strong>{}</strong><p class="leading-relaxed">{}</p><p class="text-base-500 text-xs">{}</p></div>'
        return format_html("{}", format_html_join("\n", row, rows)) if version.facts else "–"

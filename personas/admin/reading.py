"""What the database holds as lists, as people read it."""

from typing import Any

from django.contrib import admin
from django.template.defaultfilters import linebreaksbr
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from accounts.admin_scope import ScopedAdmin
from personas.models import PersonaText
from personas.tools_registry import OBLIGATORY, REGISTRY
from personas.widgets import analysis_line

RETRIES = ("max_attempts", "retry_busy_after_min", "retry_no_answer_after_min", "retry_technical_after_min")
# Shown in the place of the fields when a page is only read.
READABLE = {
    "instructions": "readable_instructions",
    "never": "readable_never",
    "variables": "readable_variables",
    "tools": "readable_tools",
    "try_saying": "readable_try_saying",
    "sample_call": "readable_sample_call",
    "analysis": "readable_analysis",
}


class ReadableAdmin(ScopedAdmin):
    """A page of a persona's text, with columns for who only reads it."""

    @admin.display(description=_("instructions"))
    def readable_instructions(self, text: PersonaText) -> SafeString:
        return linebreaksbr(text.instructions)

    @admin.display(description=_("what it never does"))
    def readable_never(self, text: PersonaText) -> SafeString | str:
        return lines(text.never)

    @admin.display(description=_("variables of the call"))
    def readable_variables(self, text: PersonaText) -> SafeString | str:
        return lines(text.variables)

    @admin.display(description=_("tools"))
    def readable_tools(self, text: PersonaText) -> SafeString | str:
        return lines([f"{name}: {tool.title}" for name, tool in REGISTRY.items() if name in (*text.tools, *OBLIGATORY)])

    @admin.display(description=_("things to say to it"))
    def readable_try_saying(self, text: PersonaText) -> SafeString | str:
        return lines(text.try_saying)

    @admin.display(description=_("sample call"))
    def readable_sample_call(self, text: PersonaText) -> SafeString | str:
        return lines(text.sample_call)

    @admin.display(description=_("fields drawn after a call"))
    def readable_analysis(self, text: PersonaText) -> SafeString | str:
        return lines([analysis_line(field) for field in text.analysis])


def lines(items: list[str]) -> SafeString | str:
    """One item a line; a dash for none."""
    return format_html_join("\n", '<div class="leading-relaxed">{}</div>', ((item,) for item in items)) or "–"


def readable(fieldsets: Any) -> list[Any]:
    """The same fieldsets with readable columns in the place of what is edited."""
    return [(title, {**options, "fields": [READABLE.get(name, name) for name in options["fields"]]}) for title, options in fieldsets]

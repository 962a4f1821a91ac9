"""The staff's pages of requests for calls, and of the lines."""

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy
from unfold.admin import TabularInline

from accounts.admin_scope import PlatformAdmin, Row, ScopedAdmin
from accounts.permissions import Action
from contacts import numbers
from contacts.day_filter import DaysFilter

from ..api.problems import kind_of
from ..models import CallRequest, Line, LineShare
from .looks import Look, Pill, one_line

ACCEPTED = Look("chamada", "green")
REPLAYED = Look("chamada", "still")
REFUSED = Look("bloqueada", "red")
OWN_CODES = {"accepted": gettext_lazy("Accepted"), "replayed": gettext_lazy("Answered again")}


@admin.register(CallRequest)
class CallRequestAdmin(ScopedAdmin):
    """Every request for a call, the refused ones too (R14): who asked, from where, and what was answered."""

    view_action = Action.VIEW_REQUESTS
    list_display = ("answer", "when", "persona", "masked_number", "who", "address", "its_call")
    list_select_related = ("user", "api_key", "call")
    list_filter = ("accepted", "channel", ("at", DaysFilter))
    list_filter_submit = True
    search_fields = ("request_id", "code")
    search_help_text = gettext_lazy("A request's id, or a code")
    show_full_result_count = False
    fields = ("answer", "its_code", "when", "channel", "persona", "masked_number", "user", "api_key", "address", "request_id", "its_call")

    @admin.display(description=gettext_lazy("Answer"), ordering="code")
    def answer(self, request_row: CallRequest) -> SafeString:
        if request_row.accepted:
            return Pill(str(OWN_CODES[request_row.code]), ACCEPTED if request_row.code == "accepted" else REPLAYED).html()
        return Pill(str(kind_of(request_row.code).title), REFUSED).html()

    @admin.display(description=gettext_lazy("At"), ordering="at")
    def when(self, request_row: CallRequest) -> SafeString:
        return one_line(f"{localtime(request_row.at):%d/%m/%Y %H:%M:%S}")

    @admin.display(description=gettext_lazy("Code"))
    def its_code(self, request_row: CallRequest) -> str:
        return request_row.code

    @admin.display(description=gettext_lazy("Number"))
    def masked_number(self, request_row: CallRequest) -> SafeString:
        # What was typed may be no number at all: then nothing of it is shown.
        return one_line(numbers.mask(request_row.number) if request_row.number else "–")

    @admin.display(description=gettext_lazy("Who"))
    def who(self, request_row: CallRequest) -> str:
        return str(request_row.api_key or request_row.user or "–")

    @admin.display(description=gettext_lazy("Call"))
    def its_call(self, request_row: CallRequest) -> SafeString | str:
        if request_row.call_id is None:
            return "–"
        return format_html('<a href="{}">{}</a>', reverse("admin:calls_call_change", args=[request_row.call_id]), gettext_lazy("Open"))


class LineShareInline(TabularInline):
    """The organizations that may hold more, or fewer, of the line's places than the others."""

    model = LineShare
    extra = 0


@admin.register(Line)
class LineAdmin(PlatformAdmin):
    """How many calls a line carries at once and how fast it begins them, for whom, and whether it takes any."""

    list_display = ("name", "places", "calls_per_second", "share", "is_open")
    fields = ("kind", "places", "calls_per_second", "share", "is_open")
    readonly_fields = ("kind",)
    inlines = (LineShareInline,)

    @admin.display(description=gettext_lazy("line"), ordering="kind")
    def name(self, line: Line) -> str:
        return line.get_kind_display()

    def has_add_permission(self, _request: HttpRequest, _obj: Row = None) -> bool:
        # A migration makes one row a kind.
        return False

"""The staff's pages of calls: the list, one call, canceling it, and placing one."""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin import RelatedOnlyFieldListFilter
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from accounts.admin_scope import ScopedAdmin
from accounts.models import User
from accounts.permissions import Action
from contacts import numbers, suppressions
from contacts.day_filter import DaysFilter
from contacts.models import SuppressionReason

from .. import cancellation
from ..models import Call
from ..states import Reason
from . import page
from .looks import clock, one_line, pill_of, sandbox_pill
from .place import place_call


@admin.register(Call)
class CallAdmin(ScopedAdmin):
    """Calls are asked for and canceled; nothing else of them is the staff's to change."""

    view_action = Action.VIEW_CALLS
    list_display = ("state", "requested", "persona_version", "masked_number", "carried_by", "duration", "reason")
    list_display_links = ("state", "requested")
    list_select_related = ("persona_version", "organization", "consent")
    list_filter = (
        ("status", ChoicesDropdownFilter),
        ("outcome", ChoicesDropdownFilter),
        ("persona", RelatedOnlyFieldListFilter),
        ("line", ChoicesDropdownFilter),
        ("created_at", DaysFilter),
    )
    list_filter_submit = True
    list_per_page = 50
    show_full_result_count = False
    search_fields = ("id",)
    search_help_text = gettext_lazy("A whole phone number, or a call's id")

    # --- The list -------------------------------------------------------------------------------------------------------
    @admin.display(description=gettext_lazy("State"), ordering="status")
    def state(self, call: Call) -> SafeString:
        return pill_of(call).html()

    @admin.display(description=gettext_lazy("Requested"), ordering="created_at")
    def requested(self, call: Call) -> SafeString:
        return one_line(f"{localtime(call.created_at):%d/%m %H:%M:%S}")

    @admin.display(description=gettext_lazy("Number"))
    def masked_number(self, call: Call) -> SafeString:
        return one_line(numbers.mask(call.number))

    @admin.display(description=gettext_lazy("Line"))
    def carried_by(self, call: Call) -> SafeString | str:
        return sandbox_pill().html() if call.simulated else call.get_line_display()

    @admin.display(description=gettext_lazy("Duration"))
    def duration(self, call: Call) -> str:
        return clock(call.duration_s)

    @admin.display(description=gettext_lazy("Reason"))
    def reason(self, call: Call) -> str:
        return page.reason_in_words(call.ended_reason) if call.ended_reason else "–"

    def get_search_results(self, _request: HttpRequest, queryset: QuerySet[Call], search_term: str) -> tuple[QuerySet[Call], bool]:
        """By a call's id, or by a number in full: what is encrypted is found through its blind index alone."""
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            return queryset.filter(pk=UUID(term)), False
        except ValueError:
            pass
        try:
            return queryset.filter(number_index=numbers.index_of(numbers.parse(term).e164)), False
        except numbers.BadNumber:
            return queryset.none(), False

    # --- One call -------------------------------------------------------------------------------------------------------
    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("place/", wrap(self.place_view), name="calls_call_place"),
            path("<path:object_id>/cancel/", wrap(require_POST(self.cancel_view)), name="calls_call_cancel"),
            path("<path:object_id>/suppress/", wrap(self.suppress_view), name="calls_call_suppress"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, _form_url: str = "", _extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        call = self.get_object(request, unquote(object_id))
        if call is None:
            raise Http404
        turns = list(call.turns.all())
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": str(call),
            "call": call,
            "number": numbers.mask(call.number),
            "pill": pill_of(call).html(),
            "line_pill": page.pill_of_the_line(call),
            "sentence": page.sentence_of(call),
            "talk": page.conversation(call, turns),
            "trace": page.trace(call, turns),
            "events": page.timeline(call.events.all()),
            "cards": page.facts_of(call),
            "chain": page.chain(call),
            "consent": call.consent,
            "prompt": page.prompt_of(call),
            "may_view_consent": self._may(request, Action.VIEW_CONSENTS, call),
            "may_suppress": self._may(request, Action.SUPPRESS, call) and not self._is_suppressed(call),
            "may_cancel": not call.ended_at and self._may(request, Action.CANCEL_CALLS, call),
        }
        return TemplateResponse(request, "admin/calls/call/page.html", context)

    def cancel_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        call = self.row_or_denied(request, object_id, Action.CANCEL_CALLS)
        result = cancellation.cancel(call=call, by=f"user:{request.user.pk}", reason=Reason.STAFF_CANCELED)
        messages.success(request, str(result.sentence))
        return HttpResponseRedirect(reverse("admin:calls_call_change", args=[call.pk]))

    def suppress_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        call = self.row_or_denied(request, object_id, Action.SUPPRESS)
        back = reverse("admin:calls_call_change", args=[call.pk])
        assert isinstance(request.user, User)
        # An opt-out on the demonstration's calls binds every organization (R6).
        sentence = (
            _("No organization calls %(number)s from now on, whatever was agreed: every organization is bound.")
            if call.organization.is_demo
            else _("%(organization)s does not call %(number)s from now on, whatever else was agreed.")
        )
        asking = self.confirm(
            request,
            title=_("Never call this number again?"),
            sentences=[sentence % {"organization": call.organization.name, "number": numbers.mask(call.number)}],
            button=_("Never call again"),
            back=back,
            is_danger=True,
        )
        if asking is not None:
            return asking
        suppressions.suppress(
            organization=call.organization,
            number_index=call.number_index,
            reason=SuppressionReason.STAFF,
            by=f"user:{request.user.pk}",
            # Somebody of the staff means it, on whatever line they heard of the wish.
            simulated=False,
            user=request.user,
        )
        messages.success(request, _("The number is not called any more."))
        return HttpResponseRedirect(back)

    def _is_suppressed(self, call: Call) -> bool:
        # What the sandbox wrote stops no phone: the button stays until somebody means it.
        return suppressions.is_suppressed(organization=call.organization, number_index=call.number_index)

    def place_view(self, request: HttpRequest) -> HttpResponse:
        if not self._may(request, Action.PLACE_CALLS, None):
            raise PermissionDenied
        return place_call(request, {**self.admin_site.each_context(request), "opts": self.opts, "title": _("Place a call")})

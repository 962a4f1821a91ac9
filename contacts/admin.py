"""The staff's pages of people: who they are by number, what they agreed to, and whom not to call."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from accounts.admin_scope import ScopedAdmin, action
from accounts.permissions import Action

from . import consents, numbers
from .day_filter import DaysFilter
from .models import Consent, Contact, Suppression


class FoundByNumber(ScopedAdmin):
    """Rows that are looked up by a phone number in full, through its blind index."""

    search_fields = ("number_index",)
    search_help_text = gettext_lazy("A whole phone number")
    show_full_result_count = False
    list_filter_submit = True

    def get_search_results(self, _request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        if not search_term.strip():
            return queryset, False
        try:
            return queryset.filter(number_index=numbers.index_of(numbers.parse(search_term).e164)), False
        except numbers.BadNumber:
            return queryset.none(), False


@admin.register(Contact)
class ContactAdmin(FoundByNumber):
    """People, as calls made them known. The number is shown masked (R13)."""

    view_action = Action.VIEW_CONTACTS
    list_display = ("masked_number", "name", "country", "created_at")
    list_filter = ("country", ("created_at", DaysFilter))
    fields = ("masked_number", "name", "country", "created_at")

    @admin.display(description=gettext_lazy("Number"))
    def masked_number(self, contact: Contact) -> str:
        return numbers.mask(contact.number)


@admin.register(Consent)
class ConsentAdmin(FoundByNumber):
    """The evidence that people agreed to be called (R1). It is added and taken back, never edited."""

    view_action = Action.VIEW_CONSENTS
    list_display = ("contact", "purpose", "basis", "obtained_at", "state", "simulated")
    list_select_related = ("contact",)
    list_filter = (("purpose", ChoicesDropdownFilter), "channel", "simulated", ("obtained_at", DaysFilter))
    fields = (
        ("contact", "purpose"),
        "basis",
        ("text_version", "locale"),
        "text",
        ("obtained_at", "recorded_at"),
        ("expires_at", "revoked_at"),
        ("channel", "declared_by"),
        ("reference", "page"),
        ("address", "user_agent"),
        "number_verified_by",
        "simulated",
    )
    actions_detail: Any = ("take_back",)

    @admin.display(description=gettext_lazy("State"))
    def state(self, consent: Consent) -> str:
        if consent.revoked_at:
            return _("taken back")
        return _("holds until %(day)s") % {"day": f"{localtime(consent.expires_at):%d/%m/%Y}"}

    @action(description=gettext_lazy("Take the consent back"), permissions=["revoke"], icon="undo")
    def take_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        consent = self.row_or_denied(request, object_id, Action.REVOKE_CONSENTS)
        back = reverse("admin:contacts_consent_change", args=[consent.pk])
        asking = self.confirm(
            request,
            title=_("Take the consent back?"),
            sentences=[_("No call is made on this consent from now on. The evidence that it was given stays.")],
            button=_("Take it back"),
            back=back,
            is_danger=True,
        )
        if asking is not None:
            return asking
        if consents.revoke(consent=consent):
            messages.success(request, _("The consent is taken back."))
        return HttpResponseRedirect(back)

    def has_revoke_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._may(request, Action.REVOKE_CONSENTS, object_id)


@admin.register(Suppression)
class SuppressionAdmin(FoundByNumber):
    """Whom not to call. Without the number: the list outlives the people on it (R6). What binds all organizations the platform sees."""

    view_action = Action.VIEW_SUPPRESSIONS
    list_display = ("reason", "since", "binds", "by", "simulated")
    list_select_related = ("organization",)
    list_filter = (("reason", ChoicesDropdownFilter), "simulated", ("created_at", DaysFilter))
    fields = ("reason", "since", "binds", "by", "simulated")

    @admin.display(description=gettext_lazy("Binds"))
    def binds(self, suppression: Suppression) -> str:
        return suppression.organization.name if suppression.organization else _("every organization")

    @admin.display(description=gettext_lazy("Since"), ordering="created_at")
    def since(self, suppression: Suppression) -> str:
        return f"{localtime(suppression.created_at):%d/%m/%Y %H:%M}"

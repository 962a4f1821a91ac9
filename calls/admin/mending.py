"""The staff's page of the calls that the reconciler had to mend."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy

from accounts.admin_scope import Row, ScopedAdmin
from accounts.permissions import Action
from contacts import numbers
from contacts.day_filter import DaysFilter

from ..models import Mending
from ..models.event import MENDED
from . import page
from .looks import one_line, pill_of


@admin.register(Mending)
class MendingAdmin(ScopedAdmin):
    """Which call was not as its row said, why, and what became of it; newest first."""

    organization_path = "call__organization"
    view_action = Action.VIEW_CALLS
    list_display = ("when", "reason", "state", "persona", "masked_number", "its_call")
    list_display_links = None
    list_select_related = ("call__persona_version", "call__organization")
    list_filter = (("at", DaysFilter),)
    list_filter_submit = True
    list_per_page = 50
    show_full_result_count = False
    ordering = ("-at", "-id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).filter(kind=MENDED)

    def has_view_permission(self, request: HttpRequest, obj: Row = None) -> bool:
        # There is a list, and each row leads to its call's page: a page of the row itself would say nothing more.
        return obj is None and super().has_view_permission(request)

    @admin.display(description=gettext_lazy("At"), ordering="at")
    def when(self, mending: Mending) -> SafeString:
        return one_line(f"{localtime(mending.at):%d/%m/%Y %H:%M:%S}")

    @admin.display(description=gettext_lazy("Why"), ordering="why")
    def reason(self, mending: Mending) -> str:
        return page.mended_in_words(mending)

    @admin.display(description=gettext_lazy("State"))
    def state(self, mending: Mending) -> SafeString:
        return pill_of(mending.call).html()

    @admin.display(description=gettext_lazy("Persona"))
    def persona(self, mending: Mending) -> str:
        return str(mending.call.persona_version)

    @admin.display(description=gettext_lazy("Number"))
    def masked_number(self, mending: Mending) -> SafeString:
        return one_line(numbers.mask(mending.call.number))

    @admin.display(description=gettext_lazy("Call"))
    def its_call(self, mending: Mending) -> SafeString:
        return format_html('<a href="{}">{}</a>', reverse("admin:calls_call_change", args=[mending.call_id]), gettext_lazy("Open"))

"""Organizations: their names for their owners; the phone line for platform administrators."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import organizations
from accounts.admin_scope import Row, ScopedAdmin, action, display
from accounts.exceptions import OnlyThePlatform
from accounts.models import Organization
from accounts.permissions import Action, check_platform


@admin.register(Organization)
class OrganizationAdmin(ScopedAdmin):
    organization_path = "pk"
    view_action = Action.VIEW_ORGANIZATION
    change_action = Action.EDIT_ORGANIZATION
    list_display = ("name", "slug", "locale", "line", "is_active")
    search_fields = ("name", "slug")
    ordering = ("name",)
    actions_detail = ("open_phone_line", "close_phone_line")
    fieldsets = (
        (None, {"fields": ("name", "slug", "of_organization", "locale")}),
        (gettext_lazy("Phone line"), {"fields": ("line_in_words", "phone_line_changed_by", "phone_line_changed_at")}),
        (gettext_lazy("Platform"), {"fields": ("is_active", "is_demo", "created_at")}),
    )
    add_fieldsets = ((None, {"fields": ("name", "slug", "of_organization", "locale", "is_demo")}),)
    prepopulated_fields = {"slug": ("name",)}

    @display(description=gettext_lazy("Phone line"), ordering="phone_line", label={True: "success", False: "default"})
    def line(self, organization: Organization) -> tuple[bool, Any]:
        return organization.phone_line, _("open") if organization.phone_line else _("sandbox only")

    @admin.display(description=gettext_lazy("Phone line"))
    def line_in_words(self, organization: Organization) -> str:
        return str(self.line(organization)[1])

    def has_add_permission(self, request: HttpRequest, _obj: Row = None) -> bool:
        return _is_platform(request)

    def has_open_permission(self, request: HttpRequest, obj: Row = None) -> bool:
        return _is_platform(request) and not self._has_line(request, obj)

    def has_close_permission(self, request: HttpRequest, obj: Row = None) -> bool:
        return _is_platform(request) and self._has_line(request, obj)

    def _has_line(self, request: HttpRequest, object_id: Row) -> bool:
        organization = self.get_object(request, str(object_id))
        return organization is not None and organization.phone_line

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        fields = ["line_in_words", "phone_line_changed_by", "phone_line_changed_at", "created_at"]
        if obj is not None:
            # The slug names it in commands and addresses.
            fields.append("slug")
        return fields if _is_platform(request) else [*fields, "is_active", "is_demo"]

    def get_prepopulated_fields(self, _request: HttpRequest, obj: Model | None = None) -> dict[str, Any]:
        return {} if obj else dict(self.prepopulated_fields)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            return super().save_model(request, obj, form, change)
        made = organizations.create(
            by=request.user,  # type: ignore[arg-type]
            name=obj.name,
            slug=obj.slug,
            of_organization=obj.of_organization,
            locale=obj.locale,
            is_demo=obj.is_demo,
        )
        obj.pk = made.pk
        obj.refresh_from_db()
        return None

    @action(description=gettext_lazy("Open the phone line"), icon="call", permissions=["open"], url_path="open-phone-line")
    def open_phone_line(self, request: HttpRequest, object_id: str) -> HttpResponse:
        organization, back = self._of_action(request, object_id)
        page = self.confirm(
            request,
            title=_("Open the phone line for {organization}?").format(organization=organization.name),
            sentences=[_("Its calls will ring phones, and spend the trunk's money."), _("Who opened it, and when, is kept.")],
            button=_("Open the phone line"),
            back=back,
        )
        if page is not None:
            return page
        organizations.open_phone_line(by=request.user, organization=organization)  # type: ignore[arg-type]
        self.message_user(request, _("The phone line is open."), messages.SUCCESS)
        return HttpResponseRedirect(back)

    @action(description=gettext_lazy("Close the phone line"), icon="phone_disabled", permissions=["close"], url_path="close-phone-line")
    def close_phone_line(self, request: HttpRequest, object_id: str) -> HttpResponse:
        organization, back = self._of_action(request, object_id)
        page = self.confirm(
            request,
            title=_("Close the phone line for {organization}?").format(organization=organization.name),
            sentences=[_("From now on its calls stay in the sandbox. Calls that are under way go on.")],
            button=_("Close the phone line"),
            back=back,
            is_danger=True,
        )
        if page is not None:
            return page
        organizations.close_phone_line(by=request.user, organization=organization)  # type: ignore[arg-type]
        self.message_user(request, _("The phone line is closed."), messages.SUCCESS)
        return HttpResponseRedirect(back)

    def _of_action(self, request: HttpRequest, object_id: str) -> tuple[Organization, str]:
        organization = self.row_or_denied(request, object_id, Action.EDIT_ORGANIZATION)
        return organization, reverse("admin:accounts_organization_change", args=[organization.pk])


def _is_platform(request: HttpRequest) -> bool:
    try:
        check_platform(request.user)
    except OnlyThePlatform:
        return False
    return True

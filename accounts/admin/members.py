"""Who works in an organization."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminEmailInputWidget

from accounts import members
from accounts.admin_scope import Row, ScopedAdmin
from accounts.exceptions import AlreadyAMember
from accounts.models import Membership
from accounts.permissions import Action


class NewMemberForm(forms.ModelForm[Membership]):
    """A person is named by the e-mail address: a list to choose from would show everybody who has an account."""

    email = forms.EmailField(label=gettext_lazy("E-mail address"), widget=UnfoldAdminEmailInputWidget)

    class Meta:
        model = Membership
        fields = ("organization", "role")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        email, organization = cleaned.get("email"), cleaned.get("organization")
        if email and Membership.objects.filter(organization=organization, user__email=email.strip().lower()).exists():
            self.add_error("email", str(AlreadyAMember()))
        return cleaned


@admin.register(Membership)
class MembershipAdmin(ScopedAdmin):
    view_action = Action.VIEW_MEMBERS
    add_action = change_action = delete_action = Action.MANAGE_MEMBERS
    list_display = ("user", "person", "role", "organization", "created_at")
    list_filter = ("role", "organization")
    list_select_related = ("user", "organization")
    search_fields = ("user__email", "user__name")
    ordering = ("organization__name", "user__email")
    fieldsets = ((None, {"fields": ("organization", "user", "role", "created_at")}),)
    add_fieldsets = ((None, {"fields": ("organization", "email", "role")}),)

    @admin.display(description=gettext_lazy("Name"), ordering="user__name")
    def person(self, membership: Membership) -> str:
        return membership.user.name or "–"

    # Who has an account is added by e-mail without being asked: what else it says is not for whoever knows the address.
    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [name for name in super().get_list_display(request) if request.user.is_superuser or name != "person"]

    def get_search_fields(self, request: HttpRequest) -> list[Any]:
        return [name for name in super().get_search_fields(request) if request.user.is_superuser or name != "user__name"]

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **kwargs if obj else {**kwargs, "form": NewMemberForm})

    def get_readonly_fields(self, request: HttpRequest, obj: Row = None) -> list[str]:
        return [*super().get_readonly_fields(request, obj), "user", "created_at"] if obj else []  # type: ignore[arg-type]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            members.change_role(by=request.user, membership=obj, role=obj.role)  # type: ignore[arg-type]
            return
        made = members.add(
            by=request.user,  # type: ignore[arg-type]
            organization=obj.organization,
            email=form.cleaned_data["email"],
            role=obj.role,
        )
        obj.pk = made.pk
        obj.refresh_from_db()

    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        members.remove(by=request.user, membership=obj)  # type: ignore[arg-type]

    def get_deleted_objects(self, objs: Any, _request: HttpRequest) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        return [str(membership) for membership in objs], {str(_("memberships")): len(objs)}, set(), []

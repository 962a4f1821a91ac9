"""API keys: made here, shown once, revoked here."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from accounts import api_keys
from accounts.admin_scope import Row, ScopedAdmin, action, display
from accounts.exceptions import ExpiryInThePast, HalfADeclaration
from accounts.models import ApiKey, Scope
from accounts.permissions import Action


class KeyForm(forms.ModelForm[ApiKey]):
    """Name and declaration; when a key is made, also what it may do and until when."""

    consent: api_keys.Declaration | None = None

    class Meta:
        model = ApiKey
        fields = ("organization", "name", "scopes", "expires_at", "consent_purpose", "consent_basis", "consent_text_version")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        parts = {name: cleaned.get(f"consent_{name}") or "" for name in ("purpose", "basis", "text_version")}
        try:
            self.consent = api_keys.Declaration(**parts) if any(parts.values()) else None
            api_keys.check_expiry(cleaned.get("expires_at"))
        except HalfADeclaration as refusal:
            for name, part in parts.items():
                if not part:
                    self.add_error(f"consent_{name}", str(refusal))
        except ExpiryInThePast as refusal:
            self.add_error("expires_at", str(refusal))
        return cleaned


class NewKeyForm(KeyForm):
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("Scopes"), choices=Scope.choices, initial=Scope.values, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )


@admin.register(ApiKey)
class ApiKeyAdmin(ScopedAdmin):
    view_action = Action.VIEW_KEYS
    add_action = change_action = Action.MANAGE_KEYS
    list_display = ("name", "begins", "organization", "state", "what_it_may", "last_used_at", "expires_at", "created_by")
    list_filter = ("organization",)
    list_select_related = ("organization", "created_by")
    search_fields = ("name", "prefix")
    ordering = ("-created_at",)
    actions_detail = ("revoke",)
    _declaration = (
        gettext_lazy("Standing consent declaration"),
        {
            "fields": ("consent_purpose", "consent_basis", "consent_text_version"),
            "description": gettext_lazy(
                "With it, calls that this key starts need not bring a consent each: you declare that everybody whose number "
                "comes through this key has agreed to be called. Your name and the time are kept with it."
            ),
        },
    )
    fieldsets = (
        (None, {"fields": ("organization", "name", "begins", "state_in_words", "what_it_may")}),
        (gettext_lazy("Times"), {"fields": ("created_by", "created_at", "last_used_at", "expires_at", "revoked_at")}),
        _declaration,
        (gettext_lazy("Declared"), {"fields": ("consent_declared_by", "consent_declared_at")}),
    )
    add_fieldsets = ((None, {"fields": ("organization", "name", "scopes", "expires_at")}), _declaration)

    @admin.display(description=gettext_lazy("Key"))
    def begins(self, key: ApiKey) -> str:
        return f"{key.prefix}…"

    @display(description=gettext_lazy("State"), label={"active": "success", "expired": "warning", "revoked": "danger"})
    def state(self, key: ApiKey) -> tuple[str, Any]:
        if key.revoked_at:
            return "revoked", _("revoked")
        if key.expires_at and key.expires_at <= timezone.now():
            return "expired", _("expired")
        return "active", _("active")

    @admin.display(description=gettext_lazy("State"))
    def state_in_words(self, key: ApiKey) -> str:
        return str(self.state(key)[1])

    @admin.display(description=gettext_lazy("Scopes"))
    def what_it_may(self, key: ApiKey) -> str:
        return ", ".join(str(Scope(scope).label) for scope in key.scopes) or "–"

    def has_revoke_permission(self, request: HttpRequest, obj: Row = None) -> bool:
        key = self.get_object(request, str(obj))
        return key is not None and key.revoked_at is None and self.has_change_permission(request, key)

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **{**kwargs, "form": KeyForm if obj else NewKeyForm})

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        if obj is None:
            return []
        times = ["created_by", "created_at", "last_used_at", "expires_at", "revoked_at", "consent_declared_by", "consent_declared_at"]
        return [*super().get_readonly_fields(request, obj), "begins", "state_in_words", "what_it_may", *times]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            api_keys.change(by=request.user, key=obj, name=obj.name, consent=form.consent)  # type: ignore[arg-type]
            return
        key, raw = api_keys.issue(
            by=request.user,  # type: ignore[arg-type]
            organization=obj.organization,
            name=obj.name,
            scopes=obj.scopes,
            expires_at=obj.expires_at,
            consent=form.consent,
        )
        obj.pk = key.pk
        obj.refresh_from_db()
        request.raw_key = raw  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """The answer to the form itself shows the key: it is written nowhere, so no later page could.

        No page of the admin is cached (`never_cache`), nor is this one.
        """
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("The key “{name}”").format(name=obj.name),
            "key": obj,
            "raw_key": request.raw_key,  # type: ignore[attr-defined]
            "page_of_the_key": post_url_continue or reverse("admin:accounts_apikey_change", args=[obj.pk]),
        }
        return TemplateResponse(request, "accounts/key_made.html", context)

    @action(description=gettext_lazy("Revoke"), icon="block", permissions=["revoke"], url_path="revoke")
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self.row_or_denied(request, object_id, Action.MANAGE_KEYS)
        back = reverse("admin:accounts_apikey_change", args=[key.pk])
        page = self.confirm(
            request,
            title=_("Revoke the key “{name}”?").format(name=key.name),
            sentences=[_("From now on it opens nothing, and it cannot be made valid again."), _("Calls that it started go on.")],
            button=_("Revoke the key"),
            back=back,
            is_danger=True,
        )
        if page is not None:
            return page
        api_keys.revoke(by=request.user, key=key)  # type: ignore[arg-type]
        self.message_user(request, _("The key is revoked."), messages.SUCCESS)
        return HttpResponseRedirect(back)

"""How the staff's pages look, and what stands in their bar: UNFOLD in the settings."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# Blue-greys from paper to night, and the blue of a tile (azulejo); hexadecimal beside what Unfold wants.
COLORS = {
    "base": {
        "50": "oklch(97.7% 0.005 275.0)",  # F6F7FB
        "100": "oklch(95.0% 0.011 274.9)",  # ECEEF6
        "200": "oklch(89.8% 0.018 272.3)",  # D9DDEA
        "300": "oklch(81.9% 0.033 272.2)",  # BCC3DA
        "400": "oklch(68.1% 0.047 273.7)",  # 8F97B6
        "500": "oklch(51.6% 0.055 272.9)",  # 5D6688
        "600": "oklch(42.4% 0.058 272.4)",  # 434C6E
        "700": "oklch(39.0% 0.071 272.3)",  # 38426B
        "800": "oklch(32.0% 0.069 271.0)",  # 263056
        "900": "oklch(22.5% 0.059 271.1)",  # 121937
        "950": "oklch(17.7% 0.044 271.2)",  # 0A0F24
    },
    "primary": {
        "50": "oklch(96.6% 0.015 277.9)",  # F1F3FE
        "100": "oklch(94.2% 0.023 275.4)",  # E7EBFC
        "200": "oklch(87.5% 0.053 274.8)",  # CBD4FA
        "300": "oklch(77.3% 0.115 273.1)",  # 9DB0FF
        "400": "oklch(72.9% 0.140 272.6)",  # 8AA0FF
        "500": "oklch(62.7% 0.174 272.4)",  # 667CF0
        "600": "oklch(40.8% 0.201 267.1)",  # 1C34B4
        "700": "oklch(35.9% 0.174 267.3)",  # 172B96
        "800": "oklch(33.5% 0.166 267.8)",  # 15258A
        "900": "oklch(26.9% 0.117 269.1)",  # 111C5E
        "950": "oklch(21.2% 0.087 270.3)",  # 0B1240
    },
    "font": {
        "subtle-light": "var(--color-base-500)",
        "subtle-dark": "var(--color-base-400)",
        "default-light": "var(--color-base-600)",
        "default-dark": "var(--color-base-300)",
        "important-light": "var(--color-base-900)",
        "important-dark": "var(--color-base-100)",
    },
}


def _shown_to(action: str) -> Callable[[HttpRequest], bool]:
    """A link is shown to whom it leads somewhere: to the members whose role allows `action` in one of their organizations."""

    def is_shown(request: HttpRequest) -> bool:
        from accounts.permissions import Action, organizations_of

        return organizations_of(request.user, Action(action)).exists()

    return is_shown


def _page(title: str | Promise, icon: str, name: str, action: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{name}_changelist"), "permission": _shown_to(action)}


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Chamada.ai",
    "SITE_HEADER": "Chamada.ai",
    "SITE_URL": "/",
    "SITE_ICON": lambda _request: static("chamada/mark.svg"),
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("chamada/mark.svg")}],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "8px",
    "COLORS": COLORS,
    "DASHBOARD_CALLBACK": "calls.admin.start_page.with_warnings",
    "STYLES": [lambda _request: static("calls/admin.css")],
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            {
                "title": "",
                "items": [
                    _page(_("Calls"), "call", "calls_call", "view_calls"),
                    _page(_("Mended calls"), "healing", "calls_mending", "view_calls"),
                    _page(_("Personas"), "record_voice_over", "personas_persona", "view_personas"),
                    _page(_("Contacts"), "group", "contacts_contact", "view_contacts"),
                ],
            },
            {
                "title": _("Rules"),
                "items": [
                    _page(_("Requests"), "inbox", "calls_callrequest", "view_requests"),
                    _page(_("Consents"), "description", "contacts_consent", "view_consents"),
                    _page(_("Do not call"), "block", "contacts_suppression", "view_suppressions"),
                ],
            },
            {
                "title": _("Organization"),
                "items": [
                    _page(_("Organizations"), "domain", "accounts_organization", "view_organization"),
                    _page(_("Members"), "badge", "accounts_membership", "view_members"),
                    _page(_("API keys"), "key", "accounts_apikey", "view_keys"),
                ],
            },
            {
                "title": _("Platform"),
                "items": [
                    {
                        "title": _("Users"),
                        "icon": "person",
                        "link": reverse_lazy("admin:accounts_user_changelist"),
                        "permission": lambda request: request.user.is_superuser,
                    },
                    {
                        "title": _("Lines"),
                        "icon": "settings_phone",
                        "link": reverse_lazy("admin:calls_line_changelist"),
                        "permission": lambda request: request.user.is_superuser,
                    },
                ],
            },
        ],
    },
}

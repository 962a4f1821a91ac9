"""How the API knows who asks: an API key as a bearer token, or the session of somebody who is logged in."""

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from . import api_keys
from .exceptions import KeyRefused
from .models import ApiKey, User

SCHEME = "Bearer"


class InvalidKey(AuthenticationFailed):
    default_code = "invalid_key"


class ApiKeyAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer chm_…`: then `request.auth` is the ApiKey and `request.user` the person who made it."""

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        header = authentication.get_authorization_header(request)
        scheme, _space, token = header.partition(b" ")
        if scheme.lower() != SCHEME.lower().encode():
            return None
        try:
            raw = token.strip().decode("ascii")
        except UnicodeDecodeError:
            raise InvalidKey(gettext("An API key is made of letters, digits, - and _.")) from None
        try:
            key = api_keys.authenticate(raw)
        except KeyRefused as refusal:
            raise InvalidKey(str(refusal), refusal.code) from refusal
        return key.created_by, key

    def authenticate_header(self, _request: Request) -> str:
        return SCHEME


class SessionAuthentication(authentication.SessionAuthentication):
    """The browser of somebody who is logged in; what changes something needs the CSRF token."""

    def authenticate_header(self, _request: Request) -> str:
        # With one, a request without credentials is answered 401 and not 403.
        return SCHEME


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "accounts.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, _auto_schema: object) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "chm_…",
            "description": str(_("An API key, as the admin shows it once.")),
        }


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "accounts.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, _auto_schema: object) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": str(_("Logged in, with the CSRF token in X-CSRFToken.")),
        }

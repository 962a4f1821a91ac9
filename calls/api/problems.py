"""Errors, as the API tells them: RFC 9457 problem details, with codes that stay.

`CODES` is the one table of what a client may meet; the OpenAPI document is written from it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import structlog
from django.http import JsonResponse
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions

from ..exceptions import CallError, StillAnswering

TYPE = "urn:chamada:problem:"
MEDIA_TYPE = "application/problem+json"


class Kind(NamedTuple):
    """A line of CODES: the HTTP status, a title in the reader's language, and the field that is to blame, if one is."""

    status: int
    title: str | Promise
    field: str = ""


CODES: dict[str, Kind] = {
    "bad_request": Kind(400, _("The request cannot be understood")),
    "not_json": Kind(400, _("The body is not JSON")),
    "not_received": Kind(400, _("The body did not arrive")),
    "invalid": Kind(400, _("Fields are wrong or missing")),
    "bad_cursor": Kind(400, _("There is no such page")),
    "bad_idempotency_key": Kind(400, _("The idempotency key cannot be used")),
    "not_authenticated": Kind(401, _("Nobody said who is asking")),
    "invalid_key": Kind(401, _("The key is not accepted")),
    "scope_missing": Kind(403, _("The key may not do this")),
    "not_allowed": Kind(403, _("This is not allowed")),
    "csrf_failed": Kind(403, _("The CSRF token is missing or wrong")),
    "not_found": Kind(404, _("Not found")),
    "method_not_allowed": Kind(405, _("The method is not allowed here")),
    "number.in_call": Kind(409, _("The number is in a call"), "phone_number"),
    "idempotency.in_progress": Kind(409, _("The first request is still being answered")),
    "no_length": Kind(411, _("The length of the body is missing")),
    "too_long": Kind(413, _("The body is too long")),
    "wrong_content_type": Kind(415, _("The body has to be JSON")),
    "number.bad": Kind(422, _("The number cannot be called"), "phone_number"),
    "unknown_persona": Kind(422, _("The persona is unknown"), "persona"),
    "unknown_persona_version": Kind(422, _("The version is unknown"), "persona_version"),
    "unpublished_persona": Kind(422, _("The persona is not published"), "persona"),
    "unknown_variables": Kind(422, _("The persona does not know these variables"), "variables"),
    "schedule.wrong": Kind(422, _("The call cannot be made at such a time"), "schedule"),
    "consent.missing": Kind(422, _("The consent is missing"), "consent"),
    "line.phone_not_available": Kind(422, _("The phone line is not available"), "line"),
    "idempotency.other_body": Kind(422, _("The idempotency key belongs to another request")),
    "which_organization": Kind(422, _("It is not clear for which organization"), "organization"),
    "policy.do_not_call": Kind(422, _("The number asked not to be called"), "phone_number"),
    "policy.consent": Kind(422, _("The consent does not hold"), "consent"),
    "too_many_requests": Kind(429, _("Too many requests")),
    "internal": Kind(500, _("An error of ours")),
    "unavailable": Kind(503, _("Not available just now")),
}
# What else refuses a call is a rule, whose code tells which.
RULE = Kind(422, _("A rule forbids this call"))


def kind_of(code: str) -> Kind:
    return CODES.get(code, RULE)


class Problem(exceptions.APIException):
    """The request cannot be answered."""

    code = "internal"

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(gettext(self.__doc__ or "").format(**facts), self.code)

    def errors(self) -> list[dict[str, str]] | None:
        """What is wrong in which field, or None when the code tells the field."""
        return None


class BodyNotJson(Problem):
    """The body has to be one JSON object in UTF-8, with the fields of the request in it."""

    code = "not_json"


class BodyNotReceived(Problem):
    """The connection ended before the whole body had arrived."""

    code = "not_received"


class BodyTooLong(Problem):
    """The body is longer than {most} kB."""

    code = "too_long"


class LengthRequired(Problem):
    """The request has to say in Content-Length, in digits, how long its body is."""

    code = "no_length"


class WrongContentType(Problem):
    """The body is “{content_type}”, and has to be “application/json”."""

    code = "wrong_content_type"


class NotAuthenticated(Problem):
    """Send an API key: “Authorization: Bearer chm_…”."""

    code = "not_authenticated"
    auth_header = "Bearer"


class MethodNotAllowed(Problem):
    """“{method}” means nothing at this address."""

    code = "method_not_allowed"


class ScopeMissing(Problem):
    """The key lacks the scope “{scope}”."""

    code = "scope_missing"


class NotAllowedAnywhere(Problem):
    """Your role does not allow this."""

    code = "not_allowed"


class NotHere(Problem):
    """There is no such call."""

    code = "not_found"


class NoSuchPage(Problem):
    """The cursor is not one that this list gave. Start again without it."""

    code = "bad_cursor"


class BadIdempotencyKey(Problem):
    """An idempotency key has 1 to 255 letters, digits and signs of ASCII."""

    code = "bad_idempotency_key"


class WhichOrganization(Problem):
    """Say in “organization” for which one: {slugs}."""

    code = "which_organization"


class TooManyRequests(Problem):
    """There were too many requests. The next one is answered in {wait} s."""

    code = "too_many_requests"

    def __init__(self, *, wait: int, is_first: bool) -> None:
        super().__init__(wait=wait)
        self.wait = wait
        self.is_first = is_first


class Unavailable(Problem):
    """Requests cannot be counted just now, so none is taken. Ask again in {wait} s."""

    code = "unavailable"

    def __init__(self, *, wait: int) -> None:
        super().__init__(wait=wait)
        self.wait = wait


class Invalid(Problem):
    """Wrong or missing: {names}."""

    code = "invalid"

    def __init__(self, errors: list[dict[str, str]]) -> None:
        self._errors = errors
        places = dict.fromkeys((error.get("parameter") or error["pointer"]).strip("/") for error in errors)
        super().__init__(names=", ".join(place for place in places if place) or "-")

    def errors(self) -> list[dict[str, str]]:
        return self._errors


def errors_of(detail: Mapping[str, Any] | list[Any], pointer: str = "") -> Iterator[dict[str, str]]:
    """The errors of a serializer (`ValidationError.get_full_details()`), flat, each with its JSON pointer."""
    if isinstance(detail, list):
        for inner in detail:
            yield from errors_of(inner, pointer)
    elif isinstance(detail.get("message"), str) and isinstance(detail.get("code"), str):
        yield {"pointer": pointer or "/", "code": detail["code"], "detail": str(detail["message"])}
    else:
        for name, inner in detail.items():
            yield from errors_of(inner, pointer if name == "non_field_errors" else f"{pointer}/{name}")


def request_id() -> str:
    """The id under which this request stands in the log, in the answer and in the table of requests."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


def answer(code: str, detail: str, *, errors: list[dict[str, str]] | None = None, headers: Mapping[str, str] | None = None) -> JsonResponse:
    """The answer that tells of a problem."""
    kind = kind_of(code)
    if errors is None:
        errors = [{"pointer": f"/{kind.field}", "code": code, "detail": detail}] if kind.field else []
    body = {
        "type": TYPE + code,
        "title": str(kind.title),
        "status": kind.status,
        "detail": detail,
        "code": code,
        "request_id": request_id(),
        "errors": errors,
    }
    return JsonResponse(
        body, status=kind.status, headers=dict(headers or {}), content_type=MEDIA_TYPE, json_dumps_params={"ensure_ascii": False}
    )


def code_of(error: Exception) -> str:
    """The code of an error that the API answers; "" for one that it does not know."""
    match error:
        case CallError() | Problem():
            return error.code
        case exceptions.AuthenticationFailed():
            return "invalid_key"
        case exceptions.PermissionDenied():
            # In this API only the session's CSRF check raises it.
            return "csrf_failed"
    return ""


def handle(error: Exception, _context: Mapping[str, Any]) -> JsonResponse | None:
    """DRF's exception handler. None lets what nobody foresaw go on to Django, which logs it and answers 500."""
    code = code_of(error)
    if not code:
        return None
    headers = {}
    if auth_header := getattr(error, "auth_header", ""):  # DRF puts it on its own errors only
        headers["WWW-Authenticate"] = auth_header
    if isinstance(error, TooManyRequests | Unavailable | StillAnswering):
        headers["Retry-After"] = str(error.wait)
    return answer(code, str(error), errors=error.errors() if isinstance(error, Problem) else None, headers=headers)

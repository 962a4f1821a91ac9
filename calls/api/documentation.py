"""What the OpenAPI document says beside the shapes: which errors, which headers, and in which words."""

from typing import Any

from django.utils.functional import lazy
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from ..models import LineKind
from ..states import Outcome, Status
from .problems import CODES, MEDIA_TYPE, RULE
from .serializers import CallAnswer, CallPage, CancelledCall, NewCall, ProblemAnswer, StartCall, TranscriptAnswer

LIST_PARAMETERS = frozenset({"status", "outcome", "line", "persona", "created_after", "created_before", "cursor", "limit"})

# The codes that any address may answer with, and those of each kind of request.
ANYWHERE = ("not_authenticated", "invalid_key", "scope_missing", "method_not_allowed", "too_many_requests", "internal", "unavailable")
PLACING = tuple(code for code in CODES if code not in {"bad_request", "bad_cursor", "not_found"})
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description=_("The same key and body give the same call for 24 hours, and the answer of then, with the header “Idempotent-Replayed”."),
)
REPLAYED = OpenApiParameter(
    "Idempotent-Replayed", str, OpenApiParameter.HEADER, response=[202], enum=["true"], description=_("The answer is one of before.")
)
RETRY_AFTER = OpenApiParameter(
    "Retry-After", int, OpenApiParameter.HEADER, response=[429], description=_("Seconds until the next request is answered.")
)
# Starting a call answers it also while the first request with a key is still being answered.
RETRY_AFTER_OF_A_START = OpenApiParameter(
    "Retry-After", int, OpenApiParameter.HEADER, response=[409, 429], description=_("Seconds until the next request is answered.")
)
NUMBER = "+351910000001"
EXAMPLE = OpenApiExample(
    "site",
    summary=_("The three fields of the site, and consent"),
    value={
        "phone_number": NUMBER,
        "persona": "restaurante",
        "customer_name": "Ana",
        "consent": {
            "purpose": "transactional",
            "basis": "order form, box ticked",
            "obtained_at": "2026-11-23T18:00:00Z",
            "text_version": "2026-11",
            "reference": "order 4417",
        },
    },
    request_only=True,
)


def _codes(status: int, codes: tuple[str, ...]) -> str:
    lines = [f"- `{code}`: {CODES[code].title}" for code in codes if CODES[code].status == status]
    return "\n".join([*lines, f"- `policy.…`: {RULE.title}"] if status == RULE.status else lines)


# In the language of whoever reads the document, not of whoever loads this module.
_codes_lazy = lazy(_codes, str)


def _answers(good: dict[int, Any], *codes: str) -> dict[Any, Any]:
    """The good answers, and for each status of an error the codes that it may carry."""
    answers: dict[Any, Any] = dict(good)
    for status in sorted({CODES[code].status for code in codes}):
        answers[(status, MEDIA_TYPE)] = OpenApiResponse(ProblemAnswer, description=_codes_lazy(status, codes))
    return answers


def _filter(name: str, words: Any, **more: Any) -> OpenApiParameter:
    return OpenApiParameter(name, more.pop("type", str), OpenApiParameter.QUERY, description=words, **more)


start_call = extend_schema(
    operation_id="start_call",
    summary=_("Start a call, in three fields"),
    description=_("The call is in the queue when this answers, and is dialled as soon as its line has a free place."),
    tags=["calls"],
    parameters=[IDEMPOTENCY_KEY, REPLAYED, RETRY_AFTER_OF_A_START],
    request=StartCall,
    responses=_answers({202: CallAnswer}, *PLACING),
    examples=[EXAMPLE],
)
create_call = extend_schema(
    operation_id="create_call",
    summary=_("Start a call, with all that can be said about it"),
    description=_("As start_call, and which line, which version, variables for the prompt, limits, and words of your own."),
    tags=["calls"],
    parameters=[IDEMPOTENCY_KEY, REPLAYED, RETRY_AFTER_OF_A_START],
    request=NewCall,
    responses=_answers({202: CallAnswer}, *PLACING),
    examples=[EXAMPLE],
)
list_calls = extend_schema(
    operation_id="list_calls",
    summary=_("List calls"),
    description=_("Newest first, in pages; “next” is the address of the next one."),
    tags=["calls"],
    parameters=[
        _filter("status", _("May be given several times."), enum=Status.values, many=True),
        _filter("outcome", _("May be given several times."), enum=Outcome.values, many=True),
        _filter("line", _("phone or sandbox"), enum=LineKind.values),
        _filter("persona", _("The persona's slug")),
        _filter("created_after", _("Asked for at this time or later (ISO 8601)")),
        _filter("created_before", _("Asked for before this time (ISO 8601)")),
        _filter("cursor", _("From “next”")),
        _filter("limit", _("Calls in a page: 25, at most 100"), type=int),
        RETRY_AFTER,
    ],
    responses=_answers({200: CallPage}, "invalid", "bad_cursor", *ANYWHERE),
)
get_call = extend_schema(
    operation_id="get_call",
    summary=_("Show a call"),
    description=_("Its state is true at any time; what is not known yet is null."),
    tags=["calls"],
    parameters=[RETRY_AFTER],
    responses=_answers({200: CallAnswer}, "not_found", *ANYWHERE),
)
get_transcript = extend_schema(
    operation_id="get_transcript",
    summary=_("Show what was said"),
    description=_("Turn by turn, as it was said; also while the call goes on."),
    tags=["calls"],
    parameters=[RETRY_AFTER],
    responses=_answers({200: TranscriptAnswer}, "not_found", *ANYWHERE),
)
cancel_call = extend_schema(
    operation_id="cancel_call",
    summary=_("Cancel a call"),
    description=_("Before it rings, while it rings, or while people talk. Asking twice does no harm."),
    tags=["calls"],
    parameters=[RETRY_AFTER],
    request=None,
    responses=_answers({200: CancelledCall}, "not_found", "not_allowed", "csrf_failed", *ANYWHERE),
)


def with_one_address_each(endpoints: list[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """A hook of drf-spectacular: each address answers with and without its last slash, and is written down once."""
    return [endpoint for endpoint in endpoints if endpoint[0].endswith("/") != ("start_call" in endpoint[0])]


class DocumentView(SpectacularAPIView):
    """`/api/schema/`: the OpenAPI document."""


class DocumentPage(SpectacularSwaggerView):
    """`/api/docs/`: the document, and a form to try each request."""

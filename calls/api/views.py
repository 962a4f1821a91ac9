"""The API's views: each authorises, parses, calls the domain, and answers."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar
from uuid import UUID

import structlog
from django.db import DatabaseError
from django.db.models import Prefetch, QuerySet
from django.urls import reverse
from django.utils.translation import gettext
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Organization
from accounts.permissions import Action, may, organizations_of

from .. import cancellation, requests
from ..exceptions import CallError
from ..models import Call
from ..requests import CallOrder, ConsentClaim, Requester
from ..states import Reason
from ..waiting import waiting_of
from . import documentation as docs
from .base import CANCEL, PLACE, READ, ApiView, Need
from .bodies import check_type, read_object
from .filters import CallFilter
from .pages import page_of
from .problems import (
    BadIdempotencyKey,
    Invalid,
    NotAllowedAnywhere,
    NotHere,
    TooManyRequests,
    WhichOrganization,
    code_of,
    errors_of,
    request_id,
)
from .serializers import CallAnswer, NewCall, QueueAnswer, StartCall, TranscriptAnswer

log = structlog.get_logger(__name__)

# Organizations that are named to somebody who has to choose one.
MOST_NAMED = 20
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
# What follows from the calls of a page, in a query each.
FOLLOWING = (
    Prefetch("retries", Call.objects.only("id", "retry_of")),
    Prefetch("callbacks", Call.objects.only("id", "callback_of", "due_at")),
)
# They hold nothing of a request, and their fields are copied once instead of at every one.
_START_CALL = StartCall()
_NEW_CALL = NewCall()
_CALL = CallAnswer()
_QUEUE = QueueAnswer()
_TRANSCRIPT = TranscriptAnswer()


class CallsView(ApiView):
    """What the views of calls have in common."""

    def calls(self) -> QuerySet[Call]:
        """The calls that who asks may see."""
        calls = Call.objects.select_related("persona_version", "organization").prefetch_related(*FOLLOWING)
        if self.key:
            return calls.filter(organization=self.key.organization_id)
        return calls.filter(organization__in=organizations_of(self.person, Action.VIEW_CALLS))

    def call(self, call_id: UUID) -> Call:
        """One of them. Another organization's is as unknown as one that never was."""
        call = self.calls().filter(pk=call_id).first()
        if call is None:
            raise NotHere
        return call

    def shown(self, call: Call) -> dict[str, Any]:
        """The call, as the API answers it."""
        shown: dict[str, Any] = _CALL.to_representation(call)
        address = self.request.build_absolute_uri(reverse("api:call_status", args=[call.pk]))
        shown |= {"status_url": address, "transcript_url": f"{address}transcript/", "cancel_url": f"{address}cancel/"}
        return shown


class RequestForCall(CallsView):
    """A call is asked for. What came in is kept, whatever is answered (R14)."""

    form: ClassVar[StartCall] = _START_CALL
    needs: ClassVar[dict[str, Need]] = {"POST": PLACE}
    # The body, as soon as it could be read.
    asked: Mapping[str, Any] = MappingProxyType({})

    def place(self) -> Response:
        """Parse, ask the domain, answer 202."""
        check_type(self.http)
        self.asked = read_object(self.http)
        try:
            order = self.form.run_validation(self.asked)
        except ValidationError as wrong:
            raise Invalid(list(errors_of(wrong.get_full_details()))) from None
        consent = order.pop("consent")
        schedule = order.pop("schedule", None) or {}
        accepted = requests.request_call(
            organization=self.organization(order.pop("organization", "")),
            by=self.requester(),
            order=CallOrder(consent=ConsentClaim(**consent) if consent else None, **schedule, **order),
            idempotency_key=self.idempotency_key(),
            answer=self.shown,
        )
        return Response(accepted.answer, status=202, headers={"Idempotent-Replayed": "true"} if accepted.replayed else None)

    def handle_exception(self, exc: Exception) -> Any:
        code = code_of(exc) or "internal"
        # request_call keeps what it refuses itself. Of a flood the first request over the limit is kept, and not the flood.
        is_flood = isinstance(exc, TooManyRequests) and not exc.is_first
        if self.request.method == "POST" and not isinstance(exc, CallError) and not is_flood:
            try:
                requests.refuse(by=self.requester(), organization=self.key.organization if self.key else None, code=code, **self.named())
            except DatabaseError:
                # What cannot be kept while the database is away must not hide why.
                log.warning("request for a call could not be kept", code=code, exc_info=True)
        return super().handle_exception(exc)

    def organization(self, slug: str) -> Organization:
        """For whom the call is made: the key's organization, or the one that a person means."""
        theirs = [self.key.organization] if self.key else organizations_of(self.person, Action.PLACE_CALLS)
        candidates = list(theirs[: MOST_NAMED + 1])
        if not candidates:
            raise NotAllowedAnywhere
        meant = [organization for organization in candidates if slug in ("", organization.slug)]
        if len(meant) != 1:
            raise WhichOrganization(slugs=", ".join(organization.slug for organization in candidates[:MOST_NAMED]))
        return meant[0]

    def requester(self) -> Requester:
        return Requester(
            user=self.user,
            api_key=self.key,
            address=self.address,
            request_id=request_id(),
            user_agent=self.request.META.get("HTTP_USER_AGENT", ""),
        )

    def idempotency_key(self) -> str | None:
        key: str | None = self.request.META.get("HTTP_IDEMPOTENCY_KEY")
        if key is not None and not IDEMPOTENCY_KEY.fullmatch(key):
            raise BadIdempotencyKey
        return key

    def named(self) -> dict[str, str]:
        """Number and persona of a request that was refused, if it came so far as to name them."""
        said = {"phone_number": self.asked.get("phone_number"), "persona": self.asked.get("persona")}
        return {name: value for name, value in said.items() if isinstance(value, str)}


class StartCallView(RequestForCall):
    """`POST /api/start_call`: the three fields of the site, and consent."""

    @docs.start_call
    def post(self, _request: Request) -> Response:
        """Start a call, in three fields."""
        return self.place()


class CallsListView(RequestForCall):
    """`/api/v1/calls/`: all that can be said about a call, and the calls there are."""

    form = _NEW_CALL
    needs: ClassVar[dict[str, Need]] = {"POST": PLACE, "GET": READ}

    @docs.create_call
    def post(self, _request: Request) -> Response:
        """Start a call."""
        return self.place()

    @docs.list_calls
    def get(self, request: Request) -> Response:
        """List calls, newest first."""
        if unknown := [name for name in request.query_params if name not in docs.LIST_PARAMETERS]:
            raise Invalid([{"parameter": name, "code": "unknown", "detail": gettext("There is no such parameter.")} for name in unknown])
        chosen = CallFilter(request.query_params, self.calls())
        if not chosen.is_valid():
            raise Invalid(
                [
                    {"parameter": name, "code": error.code or "invalid", "detail": " ".join(error.messages)}
                    for name, errors in chosen.errors.as_data().items()
                    for error in errors
                ]
            )
        page, following = page_of(chosen.qs, self.http)
        return Response({"next": following, "results": [self.shown(call) for call in page]})


class CallView(CallsView):
    """`/api/v1/calls/{id}/`."""

    needs: ClassVar[dict[str, Need]] = {"GET": READ}

    @docs.get_call
    def get(self, _request: Request, call_id: UUID) -> Response:
        """Show a call as it is now."""
        call = self.call(call_id)
        waiting = waiting_of(call)
        return Response({**self.shown(call), "queue": _QUEUE.to_representation(waiting) if waiting else None})


class TranscriptView(CallsView):
    """`/api/v1/calls/{id}/transcript/`."""

    needs: ClassVar[dict[str, Need]] = {"GET": READ}

    @docs.get_transcript
    def get(self, _request: Request, call_id: UUID) -> Response:
        """Show what was said so far, or in the whole call once it has ended."""
        turns = self.call(call_id).turns.all()
        return Response(_TRANSCRIPT.to_representation({"turns": turns}))


class CancelView(CallsView):
    """`/api/v1/calls/{id}/cancel/`."""

    needs: ClassVar[dict[str, Need]] = {"POST": CANCEL}

    @docs.cancel_call
    def post(self, _request: Request, call_id: UUID) -> Response:
        """Cancel a call: before it rings, while it rings, or while people talk. Asking twice does no harm."""
        call = self.call(call_id)
        if not self.key and not may(self.person, Action.CANCEL_CALLS, call.organization):
            raise NotAllowedAnywhere
        result = cancellation.cancel(call=call, by=self.who, reason=Reason.API_CANCELED)
        return Response({**self.shown(call), "detail": str(result.sentence)})

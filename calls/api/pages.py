"""Lists come in pages, each with the address of the next: newest first, and complete while new calls arrive."""

import base64
import binascii
import re
from datetime import UTC, datetime
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from ..models import Call
from .problems import Invalid, NoSuchPage

PAGE = 25
LONGEST_PAGE = 100


def page_of(calls: QuerySet[Call], request: HttpRequest) -> tuple[list[Call], str | None]:
    """The page that `?cursor=` and `?limit=` ask for, and the address of the next one. Raises NoSuchPage, Invalid."""
    limit = _limit(request.GET.get("limit", str(PAGE)))
    if cursor := request.GET.get("cursor"):
        at, last = _read(cursor)
        calls = calls.filter(Q(created_at__lt=at) | Q(created_at=at, pk__lt=last))
    # One more than the page shows whether there is another.
    found = list(calls.order_by("-created_at", "-pk")[: limit + 1])
    if len(found) <= limit:
        return found, None
    page = found[:limit]
    query = request.GET.copy()
    query["cursor"] = _write(page[-1])
    return page, request.build_absolute_uri(f"{request.path}?{query.urlencode()}")


def _limit(text: str) -> int:
    # As many digits as the longest page has, before anything counts them.
    if not re.fullmatch(r"[1-9][0-9]{0,2}", text) or int(text) > LONGEST_PAGE:
        raise Invalid([{"parameter": "limit", "code": "invalid", "detail": f"1…{LONGEST_PAGE}"}])
    return int(text)


def _write(call: Call) -> str:
    return base64.urlsafe_b64encode(f"{call.created_at.isoformat()} {call.pk}".encode()).decode()


def _read(cursor: str) -> tuple[datetime, UUID]:
    try:
        at, _space, last = base64.urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        moment = datetime.fromisoformat(at)
        if moment.utcoffset() is None:
            raise NoSuchPage
        return moment.astimezone(UTC), UUID(last)
    except (binascii.Error, ValueError, OverflowError):
        raise NoSuchPage from None

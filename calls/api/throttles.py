"""How many requests a client may send: one engine, django-ratelimit, whose counters are atomic in the cache."""

from django.conf import settings
from django.http import HttpRequest
from django_ratelimit.core import get_usage

from .problems import TooManyRequests


def check_rate(request: HttpRequest, *, rate: str, who: str) -> None:
    """Count this request of `who` under `rate` (a name in API_RATES); raise TooManyRequests when there were too many."""
    limit = settings.API_RATES[rate]
    usage = get_usage(request, group=f"api:{rate}", key=lambda _group, _request: who, rate=limit, increment=True)  # type: ignore[no-untyped-call]
    if usage is not None and usage["should_limit"]:
        # The window ends within this second at the earliest.
        raise TooManyRequests(wait=max(1, usage["time_left"]), is_first=usage["count"] == usage["limit"] + 1)

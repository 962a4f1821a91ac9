"""How many requests a client may send: one engine, django-ratelimit, whose counters are atomic in the cache."""

import structlog
from django.conf import settings
from django.http import HttpRequest
from django_ratelimit.core import get_usage
from redis.exceptions import RedisError

from .problems import TooManyRequests, Unavailable

log = structlog.get_logger(__name__)

AWAY_S = 5


def check_rate(request: HttpRequest, *, rate: str, who: str) -> None:
    """Count this request of `who` under `rate` (a name in API_RATES); raise TooManyRequests when there were too many.

    Raises Unavailable while the cache is away.
    """
    limit = settings.API_RATES[rate]
    try:
        usage = get_usage(request, group=f"api:{rate}", key=lambda _group, _request: who, rate=limit, increment=True)  # type: ignore[no-untyped-call]
    except RedisError as away:
        # Without its count nobody is let in: the limits also guard phones from ringing too often.
        log.warning("requests cannot be counted", error=type(away).__name__)
        raise Unavailable(wait=AWAY_S) from None
    if usage is not None and usage["should_limit"]:
        # The window ends within this second at the earliest.
        raise TooManyRequests(wait=max(1, usage["time_left"]), is_first=usage["count"] == usage["limit"] + 1)

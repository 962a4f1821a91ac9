"""Where a request came from."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str | None:
    """The client's address, or None when it cannot be told.

    TRUSTED_PROXY_HOPS proxies of ours stand in front, each of which adds the address that it was called from at the right
    of X-Forwarded-For. What stands further left was written by the client, and no other header is believed.
    """
    hops = settings.TRUSTED_PROXY_HOPS
    heard = request.META.get("REMOTE_ADDR", "")
    if hops:
        chain = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
        # A shorter chain did not come through our proxies: what is sure is who called us.
        heard = chain[-hops] if len(chain) >= hops else heard
    try:
        return str(ipaddress.ip_address(heard))
    except ValueError:
        return None


def neighbourhood(address: str | None) -> str:
    """What counts as one client for a limit: an IPv4 address, or the /64 that one IPv6 customer has to himself."""
    if address is None:
        return "unknown"
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))
    return address

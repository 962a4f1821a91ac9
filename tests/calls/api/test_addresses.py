"""Where a request came from, behind as many proxies as are ours."""

from typing import Any

import pytest
from django.test import RequestFactory

from calls.api.addresses import client_address, neighbourhood


@pytest.mark.parametrize(
    ("hops", "forwarded", "expected"),
    [
        (0, "203.0.113.9", "10.0.0.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (2, "198.51.100.1, 203.0.113.9", "198.51.100.1"),
        (2, "6.6.6.6, 198.51.100.1,203.0.113.9 ", "198.51.100.1"),
        (2, "203.0.113.9", "10.0.0.1"),
        (1, "2001:DB8::1", "2001:db8::1"),
        (1, "not an address", None),
        (1, "", None),
    ],
    ids=[
        "no proxy",
        "ours",
        "the client wrote one",
        "two of ours",
        "two, and a lie",
        "did not come through both",
        "IPv6",
        "nonsense",
        "none",
    ],
)
def test_only_what_our_proxies_added_is_believed(settings: Any, hops: int, forwarded: str, expected: str | None) -> None:
    settings.TRUSTED_PROXY_HOPS = hops
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=forwarded, HTTP_X_REAL_IP="6.6.6.6")
    assert client_address(request) == expected


def test_a_socket_has_no_address() -> None:
    assert client_address(RequestFactory().get("/", REMOTE_ADDR="")) is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        (None, "unknown"),
    ],
)
def test_a_customers_whole_network_counts_as_one(address: str | None, expected: str) -> None:
    assert neighbourhood(address) == expected

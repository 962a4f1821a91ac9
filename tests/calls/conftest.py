"""A LiveKit at the wire, settings that name it, and an organization that may phone."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from accounts.models import Organization

from .livekit_api import FakeLiveKit, fake_livekit


@pytest.fixture
def livekit() -> Iterator[FakeLiveKit]:
    with fake_livekit() as fake:
        yield fake


@pytest.fixture
def phone_line(settings: Settings, organization: Organization) -> None:
    """A phone line is configured (at an address where nobody answers), and Alice's organization may use it."""
    settings.LIVEKIT_URL, settings.LIVEKIT_API_KEY, settings.LIVEKIT_API_SECRET = "ws://127.0.0.1:9", "key", "secret"
    settings.SIP_TRUNK_ID = "ST_known"
    organization.phone_line = True
    organization.save(update_fields=["phone_line"])


@pytest.fixture
def livekit_line(phone_line: None, settings: Settings, livekit: FakeLiveKit) -> FakeLiveKit:
    """The same, with somebody at the address."""
    settings.LIVEKIT_URL, settings.LIVEKIT_API_KEY, settings.LIVEKIT_API_SECRET = livekit.url, livekit.api_key, livekit.api_secret
    return livekit

"""A LiveKit at the wire, settings that name it, and an organization that may phone."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import Settings

from accounts.models import Organization

from .livekit_api import FakeLiveKit, fake_livekit
from .watching import Watcher


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


@pytest.fixture
def reconciler(livekit_line: FakeLiveKit) -> Iterator[Watcher]:
    watcher = Watcher()
    yield watcher
    watcher.close()


@pytest.fixture
def own_connections(transactional_db: None, tmp_path: Path) -> Iterator[None]:
    """A database that several threads can use at once, each by a connection of its own, as processes do.

    On SQLite the tests' database is in memory, where threads meet other locks than in a file: so a copy of it, in a file.
    """
    if connection.vendor != "sqlite":
        yield
        return
    in_memory, name = connection.connection, connection.settings_dict["NAME"]
    file = tmp_path / "calls.sqlite3"
    copy = sqlite3.connect(file)
    in_memory.backup(copy)
    # As a migrated database is: many who open it for the first time would else be at it at once.
    copy.execute("PRAGMA journal_mode=WAL")
    copy.close()
    connection.connection, connection.settings_dict["NAME"] = None, str(file)
    try:
        yield
    finally:
        connection.close()
        connection.connection, connection.settings_dict["NAME"] = in_memory, name

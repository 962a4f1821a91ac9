"""A database that goes away, and what is said meanwhile."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.db.backends.utils import CursorWrapper

from calls.models import TurnRole
from calls.transcripts import TurnDraft

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Outage:
    """The database at the wire: while it is away every statement fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.away = False
        self.failed = 0
        execute: Callable[..., Any] = CursorWrapper.execute

        def execute_or_fail(cursor: CursorWrapper, *arguments: Any) -> Any:
            if self.away:
                self.failed += 1
                raise OperationalError("server closed the connection unexpectedly")
            return execute(cursor, *arguments)

        monkeypatch.setattr(CursorWrapper, "execute", execute_or_fail)


def turn(number: int, text: str = "") -> TurnDraft:
    return TurnDraft(item_id=f"item_{number}", role=TurnRole.USER, text=text or f"turn {number}", started_at=AT + timedelta(seconds=number))

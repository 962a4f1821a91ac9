"""`Idempotency-Key`: the same key and body give the same call, and the first answer again (design §3, rule 7).

The key is held by a row that is written first in the transaction that makes the call. A second request with it waits: on
PostgreSQL at the row's unique index, on SQLite at the database's one lock. A refusal rolls the row back: it is not kept.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, OperationalError, connection
from django.utils import timezone

from accounts.models import Organization

from .exceptions import OtherBody, StillAnswering
from .models import IdempotencyRecord

KEPT_FOR = timedelta(hours=24)
OTHERS_WAIT_S = 5
LOCK_NOT_AVAILABLE = "55P03"


class KeyIsTaken(Exception):
    """Another request with this key came before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A key of an organization's, and the digest of what it is used for."""

    organization: Organization
    key: str
    body_digest: str


def hold(promise: Promise, *, call_id: uuid.UUID) -> IdempotencyRecord:
    """Take the key for a call that is made later in this transaction. Raises KeyIsTaken, after a wait if need be."""
    if connection.vendor == "postgresql":
        _execute(f"SET LOCAL lock_timeout = '{OTHERS_WAIT_S}s'")
    try:
        # The database looks for the call at the commit: foreign keys are deferred.
        return IdempotencyRecord.objects.create(
            organization=promise.organization, key=promise.key, body_digest=promise.body_digest, call_id=call_id, answer={}
        )
    except IntegrityError:
        raise KeyIsTaken from None


def keep(record: IdempotencyRecord, *, answer: dict[str, Any]) -> None:
    """Write down what the key is answered from now on."""
    record.answer = answer
    record.save(update_fields=["answer"])


def recall(promise: Promise) -> IdempotencyRecord | None:
    """What the key was answered, with its call. None: that is more than 24 hours ago, and forgotten now. Raises OtherBody."""
    records = IdempotencyRecord.objects.filter(organization=promise.organization, key=promise.key)
    record = records.select_related("call__organization", "call__persona_version").first()
    if record is None:
        return None
    if record.created_at <= timezone.now() - KEPT_FOR:
        record.delete()
        return None
    if record.body_digest != promise.body_digest:
        raise OtherBody
    return record


@contextmanager
def waiting() -> Iterator[None]:
    """Within it, waiting for another request ends after five seconds, with StillAnswering."""
    usual_s = connection.settings_dict["OPTIONS"].get("timeout", OTHERS_WAIT_S)
    _let_sqlite_wait(OTHERS_WAIT_S)
    try:
        yield
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") != LOCK_NOT_AVAILABLE and "database is locked" not in str(error):
            raise
        raise StillAnswering from None
    except KeyIsTaken:
        # It was free for a moment, and a third request was quicker.
        raise StillAnswering from None
    finally:
        _let_sqlite_wait(usual_s)


def _let_sqlite_wait(seconds: float) -> None:
    if connection.vendor == "sqlite":
        _execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)

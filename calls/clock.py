"""The database's clock, by which machines agree on what is due: their own may differ by a minute."""

from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

ON_POSTGRESQL = "statement_timestamp()"


def database_now() -> datetime:
    """The database's time at this statement, also within a transaction that waited for a lock before."""
    if connection.vendor != "postgresql":
        # A file's database has no clock but its machine's.
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {ON_POSTGRESQL}")
        (now,) = cursor.fetchone()
    return now  # type: ignore[no-any-return]


def now_there() -> Now | datetime:
    """The same, to be compared or written in a statement that is sent anyway."""
    # SQLite's own has milliseconds alone: what is due now would be due in a moment.
    return Now() if connection.vendor == "postgresql" else timezone.now()


def now_in_words() -> tuple[str, dict[str, Any]]:
    """The same for a statement that is written already: what to put into it, and the parameters that this names."""
    if connection.vendor == "postgresql":
        return ON_POSTGRESQL, {}
    return "%(now)s", {"now": connection.ops.adapt_datetimefield_value(timezone.now())}

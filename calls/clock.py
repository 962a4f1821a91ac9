"""The database's clock, by which machines agree on what is due: their own may differ by a minute."""

from datetime import datetime

from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone


def database_now() -> datetime:
    """The database's time at this statement, also within a transaction that waited for a lock before."""
    if connection.vendor != "postgresql":
        # A file's database has no clock but its machine's.
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        (now,) = cursor.fetchone()
    return now  # type: ignore[no-any-return]


def now_there() -> Now | datetime:
    """The same, to be compared or written in a statement that is sent anyway."""
    # SQLite's own has milliseconds alone: what is due now would be due in a moment.
    return Now() if connection.vendor == "postgresql" else timezone.now()

"""Looks that are taken again and again, at every request, before every dial, once a second: by SQL that nobody has to build anew.

Each reads one entry of an index; to have the models build the statement costs several times what the database needs for it.
"""

from typing import Any

from django.db import connection


def finds(statement: str, named: dict[str, Any]) -> bool:
    """Whether `statement`, which asks for one row at most, finds any."""
    with connection.cursor() as cursor:
        cursor.execute(statement, named)
        return cursor.fetchone() is not None

"""Lists come in pages, each with the address of the next: newest first, and complete while new calls arrive."""

from typing import Any

from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination

from .problems import NoSuchPage


class NewestFirst(CursorPagination):
    page_size = 25
    page_size_query_param = "limit"
    max_page_size = 100
    ordering = ("-created_at", "-id")

    def decode_cursor(self, request: Any) -> Any:
        """Where the page begins. Raises NoSuchPage for a cursor that somebody wrote himself."""
        try:
            cursor = super().decode_cursor(request)
            position = cursor.position if cursor else None
            if position is not None and not _is_a_time(str(position)):
                raise NoSuchPage
        except NotFound:
            raise NoSuchPage from None
        return cursor


def _is_a_time(position: str) -> bool:
    try:
        time = parse_datetime(position)
    except ValueError:
        return False
    return time is not None and time.utcoffset() is not None

"""A filter of the staff's lists: from a day, to a day."""

from datetime import datetime, time, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import DateField
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import RangeDateFilter


class DaysFilter(RangeDateFilter):
    """Unfold's range of dates, for a time: days begin and end at midnight here, and the last one is within."""

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if first := self._midnight("from", days=0):
            queryset = queryset.filter(**{f"{self.field_path}__gte": first})
        if after := self._midnight("to", days=1):
            queryset = queryset.filter(**{f"{self.field_path}__lt": after})
        return queryset

    def _midnight(self, end: str, *, days: int) -> datetime | None:
        """The beginning of the day that was typed, or of the one after it; None where no day was."""
        try:
            # As people here write it: unfold's own reader knows the first of July as 7/1.
            day = DateField(required=False).clean(self.used_parameters.get(f"{self.field_path}_{end}"))
        except ValidationError:
            return None
        return timezone.make_aware(datetime.combine(day + timedelta(days=days), time.min)) if day else None

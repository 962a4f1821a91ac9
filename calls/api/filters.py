"""Which calls a list shows."""

from datetime import UTC, datetime

from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils.translation import gettext_lazy as _
from django_filters import rest_framework as filters  # type: ignore[import-untyped]

from ..models import Call, LineKind
from ..states import Outcome, Status

# Beyond these, a zone's offset leads out of what a database can hold.
_SENSIBLE = [MinValueValidator(datetime(2000, 1, 1, tzinfo=UTC)), MaxValueValidator(datetime(2200, 1, 1, tzinfo=UTC))]


class CallFilter(filters.FilterSet):  # type: ignore[misc]
    """`?status=queued&status=ringing&persona=restaurante&created_after=2026-11-23T00:00:00Z`."""

    status = filters.MultipleChoiceFilter(choices=Status.choices)
    outcome = filters.MultipleChoiceFilter(choices=Outcome.choices)
    line = filters.ChoiceFilter(choices=LineKind.choices)
    persona = filters.CharFilter(field_name="persona_version__slug", label=_("the persona's slug"))
    created_after = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte", validators=_SENSIBLE)
    created_before = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt", validators=_SENSIBLE)

    class Meta:
        model = Call
        fields: list[str] = []

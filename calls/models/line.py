"""What carries calls: how many at once, how fast, and how many of them for one organization."""

from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization


class LineKind(models.TextChoices):
    PHONE = "phone", _("phone")
    SANDBOX = "sandbox", _("sandbox")


class Line(models.Model):
    """A line's limits, as staff set them. There is one row a kind, made by a migration.

    `calls.places` counts under the lock of this row.
    """

    kind = models.CharField(_("kind"), max_length=8, choices=LineKind.choices, unique=True)
    places = models.PositiveIntegerField(_("calls at once"), default=10, validators=[MinValueValidator(1)])
    calls_per_second = models.FloatField(
        _("calls per second"),
        null=True,
        blank=True,
        validators=[MinValueValidator(0.01)],
        help_text=_("Begun at most, evenly spaced: what the carrier allows. Empty: as many as there are."),
    )
    share = models.PositiveIntegerField(
        _("calls at once for one organization"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("Of the line's places; an organization may have a share of its own below. Empty: all of them."),
    )
    is_open = models.BooleanField(_("takes calls"), default=True)
    next_slot_at = models.DateTimeField(_("next call not before"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("line")
        verbose_name_plural = _("lines")

    def __str__(self) -> str:
        return self.get_kind_display()


class LineShare(models.Model):
    """How many of a line's places one organization may hold at most, where that is not what the line says."""

    line = models.ForeignKey(Line, on_delete=models.CASCADE, related_name="shares", verbose_name=_("line"))
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="line_shares", verbose_name=_("organization"))
    places = models.PositiveIntegerField(_("calls at once"), validators=[MinValueValidator(1)])

    class Meta:
        verbose_name = _("share of an organization")
        verbose_name_plural = _("shares of organizations")
        constraints = [
            # calls.places: an organization has one share of a line.
            models.UniqueConstraint(fields=["line", "organization"], name="one_share_a_line_and_organization")
        ]

    def __str__(self) -> str:
        return f"{self.organization}: {self.places}"

"""What carries calls, and how many at once."""

from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _


class LineKind(models.TextChoices):
    PHONE = "phone", _("phone")
    SANDBOX = "sandbox", _("sandbox")


class Line(models.Model):
    """A line's limits, as staff set them. There is one row a kind, made by a migration."""

    kind = models.CharField(_("kind"), max_length=8, choices=LineKind.choices, unique=True)
    places = models.PositiveIntegerField(_("calls at once"), default=10, validators=[MinValueValidator(1)])
    is_open = models.BooleanField(_("takes calls"), default=True)

    class Meta:
        verbose_name = _("line")
        verbose_name_plural = _("lines")

    def __str__(self) -> str:
        return self.get_kind_display()

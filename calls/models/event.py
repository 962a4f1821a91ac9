"""What happened to a call, and when."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .call import Call

MENDED = "mended"


class CallEvent(models.Model):
    """One row for every change of a call's status, and for what else its timeline shows (a tool that ran, a transfer)."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="events", verbose_name=_("call"))
    at = models.DateTimeField(_("at"))
    kind = models.CharField(_("kind"), max_length=32, default="status", help_text=_("status, tool, opening, transfer, error, mended"))
    old = models.CharField(_("from"), max_length=16, blank=True)
    new = models.CharField(_("to"), max_length=16, blank=True)
    by = models.CharField(_("by"), max_length=96, help_text=_("dialer, job:AJ_1, user:42, key:7"))
    why = models.CharField(_("why"), max_length=64, blank=True)
    # Ids, codes and figures only: no personal data (R13).
    facts = models.JSONField(_("facts"), default=dict, blank=True)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["at", "pk"]
        indexes = [
            # the staff's page of mended calls, newest first.
            models.Index(fields=["-at", "-id"], condition=Q(kind=MENDED), name="events_mended"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S} {self.kind} {self.new or self.why}"


class Mending(CallEvent):
    """The rows that `calls.reconcile` left on the calls which it had to mend."""

    class Meta:
        proxy = True
        verbose_name = _("mended call")
        verbose_name_plural = _("mended calls")

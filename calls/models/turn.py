"""What was said in a call."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from contacts.crypto import EncryptedJSONField, EncryptedTextField

from .call import Call


class TurnRole(models.TextChoices):
    ASSISTANT = "assistant", _("assistant")
    USER = "user", _("person")
    TOOL = "tool", _("tool")


class Turn(models.Model):
    """One utterance in the transcript, or one tool that ran in between. Written as it is said (`calls.transcripts`)."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="turns", verbose_name=_("call"))
    item_id = models.CharField(max_length=64, editable=False)
    position = models.PositiveIntegerField(_("position"))
    role = models.CharField(_("who"), max_length=16, choices=TurnRole.choices)
    text = EncryptedTextField(_("what was said"), blank=True)
    started_at = models.DateTimeField(_("at"))
    interrupted = models.BooleanField(_("cut off"), default=False)
    is_opening = models.BooleanField(_("the opening"), default=False)
    # From the end of the person's speech to the assistant's first sound.
    latency_ms = models.PositiveIntegerField(_("answered after (ms)"), null=True, blank=True)
    tool = models.CharField(_("tool"), max_length=40, blank=True)
    arguments = EncryptedJSONField(_("asked"), default=dict, blank=True)

    class Meta:
        verbose_name = _("turn")
        verbose_name_plural = _("turns")
        ordering = ["started_at", "position"]
        constraints = [
            # calls.transcripts.record: a turn that is written twice (spooled, then replayed) stands once.
            models.UniqueConstraint(fields=["call", "item_id"], name="one_turn_per_item"),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()} {self.started_at:%H:%M:%S}"

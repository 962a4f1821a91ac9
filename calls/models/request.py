"""How calls are asked for: every request (R14), and the keys that make a request happen once."""

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey, Organization
from contacts.crypto import EncryptedTextField

from .call import Call


class CallRequest(models.Model):
    """A request for a call, kept whether it was accepted or refused: who asked, from where, and which rule answered (R14)."""

    organization = models.ForeignKey(
        Organization, on_delete=models.SET_NULL, null=True, blank=True, related_name="call_requests", verbose_name=_("organization")
    )
    api_key = models.ForeignKey(ApiKey, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("API key"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("user")
    )
    at = models.DateTimeField(_("at"), default=timezone.now)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    channel = models.CharField(_("through"), max_length=16, help_text=_("api, staff, retry, callback"))
    request_id = models.CharField(_("request id"), max_length=64, blank=True)
    # As it was typed, valid or not; at most 64 characters of it.
    number = EncryptedTextField(_("number"), blank=True)
    number_index = models.CharField(max_length=64, blank=True, db_index=True, editable=False)
    persona = models.CharField(_("persona"), max_length=64, blank=True)
    accepted = models.BooleanField(_("accepted"))
    code = models.CharField(_("answer"), max_length=64, help_text=_("accepted, or the code of the refusal"))
    call = models.ForeignKey(Call, on_delete=models.SET_NULL, null=True, blank=True, related_name="requests", verbose_name=_("call"))

    class Meta:
        verbose_name = _("request")
        verbose_name_plural = _("requests")
        ordering = ["-at", "-pk"]
        indexes = [models.Index(fields=["organization", "-at"], name="requests_of_an_organization")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.code}"


class IdempotencyRecord(models.Model):
    """An `Idempotency-Key` and the call that it made: the same key and body give the same call for 24 h (design: rule 7)."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+", verbose_name=_("organization"))
    key = models.CharField(_("key"), max_length=255)
    body_digest = models.CharField(max_length=64)
    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="+", verbose_name=_("call"))
    answer = models.JSONField(_("answer"))
    created_at = models.DateTimeField(_("made at"), default=timezone.now)

    class Meta:
        verbose_name = _("idempotency key")
        verbose_name_plural = _("idempotency keys")
        constraints = [
            # two requests with one key at once: the second waits for the first one's row, and answers from it.
            models.UniqueConstraint(fields=["organization", "key"], name="one_call_per_idempotency_key"),
        ]

    def __str__(self) -> str:
        return self.key

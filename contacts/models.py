"""Who a person is by phone number, what they agreed to, and whom not to call."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from accounts.purposes import Purpose

from .crypto import EncryptedTextField


class Contact(models.Model):
    """A person, as an organization knows them: by phone number."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="contacts", verbose_name=_("organization"))
    number = EncryptedTextField(_("number"))
    number_index = models.CharField(max_length=64, editable=False)
    country = models.CharField(_("country"), max_length=2)
    name = EncryptedTextField(_("name"), blank=True)
    created_at = models.DateTimeField(_("known since"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("contact")
        verbose_name_plural = _("contacts")
        constraints = [
            # contacts.people.know: two requests at once are one person.
            models.UniqueConstraint(fields=["organization", "number_index"], name="one_contact_per_number"),
        ]

    def __str__(self) -> str:
        from .numbers import mask

        return mask(self.number)


class Consent(models.Model):
    """The evidence that a person agreed to be called (R1). Rows are only added, and revoked; never edited."""

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="consents", verbose_name=_("organization"))
    contact = models.ForeignKey(Contact, on_delete=models.SET_NULL, null=True, related_name="consents", verbose_name=_("contact"))
    number_index = models.CharField(max_length=64, db_index=True, editable=False)
    purpose = models.CharField(_("purpose"), max_length=16, choices=Purpose.choices)
    basis = models.CharField(_("basis"), max_length=255)
    channel = models.CharField(_("channel"), max_length=32, help_text=_("api, api_key_declaration, staff, site, call"))
    text = models.TextField(_("what was agreed to"), blank=True)
    text_version = models.CharField(_("version of the text"), max_length=64)
    locale = models.CharField(_("language"), max_length=8)
    reference = models.CharField(_("the client's reference"), max_length=255, blank=True)
    obtained_at = models.DateTimeField(_("obtained at"))
    recorded_at = models.DateTimeField(_("recorded at"), default=timezone.now, editable=False)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    user_agent = models.CharField(_("user agent"), max_length=255, blank=True)
    page = models.CharField(_("page"), max_length=255, blank=True)
    number_verified_by = models.CharField(_("how the number was verified"), max_length=32, default="not_verified")
    declared_by = models.CharField(_("declared by"), max_length=64, help_text=_("user:42, key:7, call:<id>"))
    expires_at = models.DateTimeField(_("holds until"))
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)
    simulated = models.BooleanField(_("sandbox"), default=False)

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        ordering = ["-recorded_at"]

    def __str__(self) -> str:
        return f"{self.get_purpose_display()} · {self.recorded_at:%Y-%m-%d}"


class SuppressionReason(models.TextChoices):
    OPT_OUT_ON_CALL = "opt_out_on_call", _("asked on a call")
    WRONG_NUMBER = "wrong_number", _("wrong number")
    KEY_PRESSED = "key_pressed", _("pressed 9")
    STAFF = "staff", _("staff")
    API = "api", _("API")


class Suppression(models.Model):
    """“Do not call this number.” Keyed by the blind index alone, so that it outlives the person's erasure (R6)."""

    organization = models.ForeignKey(
        Organization,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="suppressions",
        verbose_name=_("organization"),
        help_text=_("Empty: every organization."),
    )
    number_index = models.CharField(max_length=64, db_index=True, editable=False)
    reason = models.CharField(_("reason"), max_length=24, choices=SuppressionReason.choices)
    by = models.CharField(_("by"), max_length=64, help_text=_("call:<id>, user:42, key:7"))
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(_("since"), default=timezone.now, editable=False)
    simulated = models.BooleanField(_("sandbox"), default=False)

    class Meta:
        verbose_name = _("suppression")
        verbose_name_plural = _("suppressions")
        ordering = ["-created_at"]
        constraints = [
            # suppress() may be called twice for one opt-out (the tool and the key): one row.
            models.UniqueConstraint(
                fields=["organization", "number_index", "simulated"],
                condition=Q(organization__isnull=False),
                name="one_suppression_per_organization",
            ),
            models.UniqueConstraint(fields=["number_index", "simulated"], condition=Q(organization=None), name="one_global_suppression"),
        ]

    def __str__(self) -> str:
        return f"{self.get_reason_display()} · {self.created_at:%Y-%m-%d}"

"""People, businesses, what each person may do in a business, and the keys of programs."""

from typing import ClassVar

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .locales import Locale
from .purposes import Purpose


class UserManager(BaseUserManager["User"]):
    """Makes users; an e-mail address is kept in small letters, as people do not tell them apart."""

    def create_user(self, email: str, password: str | None = None, **fields: object) -> "User":
        if not email:
            raise ValueError("A user needs an e-mail address.")
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: object) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person who logs in. A superuser is a platform administrator; staff see the admin, within their organizations."""

    email = models.EmailField(_("e-mail address"), unique=True)
    name = models.CharField(_("name"), max_length=120, blank=True)
    is_staff = models.BooleanField(_("may use the admin"), default=False)
    is_active = models.BooleanField(_("active"), default=True)
    date_joined = models.DateTimeField(_("joined"), default=timezone.now)

    objects = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints = [
            # the login: “Ana@…” and “ana@…” are one person.
            models.UniqueConstraint(Lower("email"), name="one_user_per_email"),
        ]

    def __str__(self) -> str:
        return self.email


class Organization(models.Model):
    """A business that uses the product. Personas, calls, contacts and keys belong to one."""

    name = models.CharField(_("name"), max_length=120)
    slug = models.SlugField(_("slug"), unique=True)
    of_organization = models.CharField(
        _("“of” the organization"),
        max_length=140,
        help_text=_("As the opening says it: «da Chamada.ai», «do Zé». The article cannot be guessed."),
    )
    locale = models.CharField(_("language"), max_length=8, choices=Locale.choices, default=Locale.PT_PT)
    is_demo = models.BooleanField(
        _("the public site's own"), default=False, help_text=_("An opt-out on its calls binds every organization.")
    )
    phone_line = models.BooleanField(_("may use the phone line"), default=False)
    phone_line_changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("phone line opened or closed by"),
    )
    phone_line_changed_at = models.DateTimeField(_("phone line opened or closed at"), null=True, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    # Due work for the app to the right: the queue worker gives an organization its personas and writes the time.
    personas_seeded_at = models.DateTimeField(_("personas given at"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("organization")
        verbose_name_plural = _("organizations")
        ordering = ["name"]
        constraints = [
            # the demo rules (opt-out for all, the public form) need to know which one it is.
            models.UniqueConstraint(fields=["is_demo"], condition=Q(is_demo=True), name="one_demo_organization"),
        ]

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    OWNER = "owner", _("owner")
    MANAGER = "manager", _("manager")
    OPERATOR = "operator", _("operator")
    AUDITOR = "auditor", _("auditor")


class Membership(models.Model):
    """A person's place in an organization."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="memberships", verbose_name=_("organization"))
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships", verbose_name=_("user"))
    role = models.CharField(_("role"), max_length=16, choices=Role.choices)
    created_at = models.DateTimeField(_("since"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [
            # permissions ask for the role: there can be only one answer.
            models.UniqueConstraint(fields=["organization", "user"], name="one_role_per_person"),
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.organization} · {self.get_role_display()}"


class Scope(models.TextChoices):
    CALLS_READ = "calls:read", _("read calls")
    CALLS_WRITE = "calls:write", _("start and cancel calls")


class ApiKey(models.Model):
    """A program's key. The key itself is shown once, when it is made; here stands its digest.

    A key may carry a standing consent declaration (R1): then calls that it starts need not bring their own.
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="api_keys", verbose_name=_("organization"))
    name = models.CharField(_("name"), max_length=120)
    prefix = models.CharField(_("begins with"), max_length=16, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(_("scopes"), default=list)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("made by"), editable=False
    )
    created_at = models.DateTimeField(_("made at"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True, editable=False)
    consent_purpose = models.CharField(_("declared purpose"), max_length=16, choices=Purpose.choices, blank=True)
    consent_basis = models.CharField(_("declared basis"), max_length=255, blank=True)
    consent_text_version = models.CharField(_("version of the text people agreed to"), max_length=64, blank=True)
    consent_declared_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("declared by"),
        editable=False,
    )
    consent_declared_at = models.DateTimeField(_("declared at"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ["-created_at"]
        constraints = [
            # calls.requests takes a declaration for evidence: half of one is none.
            models.CheckConstraint(
                condition=Q(
                    consent_purpose="", consent_basis="", consent_text_version="", consent_declared_by=None, consent_declared_at=None
                )
                | (
                    ~Q(consent_purpose="")
                    & ~Q(consent_basis="")
                    & ~Q(consent_text_version="")
                    & Q(consent_declared_by__isnull=False, consent_declared_at__isnull=False)
                ),
                name="a_consent_declaration_is_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

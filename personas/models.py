"""Personas as staff edit them, and as they were published. A call keeps the version that it was made with."""

from decimal import Decimal

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.locales import Locale
from accounts.models import Organization

MOST_ATTEMPTS = 5
# From a minute, so that a network in trouble is not hammered, to a week.
RETRY_MINUTES = [MinValueValidator(1), MaxValueValidator(7 * 24 * 60)]


class Gender(models.TextChoices):
    FEMININE = "feminino", _("feminine")
    MASCULINE = "masculino", _("masculine")


class Effort(models.TextChoices):
    MINIMAL = "minimal", _("minimal")
    LOW = "low", _("low")
    MEDIUM = "medium", _("medium")
    HIGH = "high", _("high")
    XHIGH = "xhigh", _("highest")


class PersonaText(models.Model):
    """All that staff can say about a persona: the same columns in the draft and in what was published."""

    name = models.CharField(_("name"), max_length=80, help_text=_("As people read it: «Restaurante»."))
    role_name = models.CharField(_("role"), max_length=120, blank=True, help_text=_("In whose role it speaks; empty: its name."))
    summary = models.CharField(_("summary"), max_length=255, blank=True)
    locale = models.CharField(_("language"), max_length=8, choices=Locale.choices, default=Locale.PT_PT)
    instructions = models.TextField(
        _("instructions"), help_text=_("Role, objective, tone, flow, rules of the house, examples. Variables: {{ name }}.")
    )
    greeting = models.TextField(
        _("greeting"), help_text=_("Said after the platform's opening. No name in it: it may be missing. One question.")
    )
    never = models.JSONField(_("what it never does"), default=list, blank=True)
    variables = models.JSONField(
        _("variables of the call"),
        default=list,
        blank=True,
        help_text=_("Names that whoever asks for a call may give values for; one that is not given is empty."),
    )
    fictional_business = models.BooleanField(_("the business is made up"), default=False)
    voice = models.CharField(_("voice"), max_length=32)
    self_gender = models.CharField(_("grammatical gender of the speaker"), max_length=16, choices=Gender.choices, default=Gender.FEMININE)
    model = models.CharField(_("model"), max_length=64, blank=True, help_text=_("Empty: the platform's default."))
    speed = models.DecimalField(
        _("speed"),
        max_digits=3,
        decimal_places=2,
        default=Decimal(1),
        validators=[MinValueValidator(Decimal("0.25")), MaxValueValidator(Decimal("1.5"))],
    )
    temperature = models.DecimalField(
        _("temperature"),
        max_digits=3,
        decimal_places=2,
        default=Decimal("0.8"),
        validators=[MinValueValidator(0), MaxValueValidator(2)],
        help_text=_("For text models. The voice models have no temperature any more: speed and effort are there for them."),
    )
    reasoning_effort = models.CharField(
        _("reasoning effort"), max_length=8, choices=Effort.choices, blank=True, help_text=_("Empty: the model's own.")
    )
    tools = models.JSONField(_("tools"), default=list, blank=True)
    transfer_number = models.CharField(
        _("number for transfers"),
        max_length=16,
        blank=True,
        validators=[RegexValidator(r"^\+[1-9]\d{6,14}$", _("An international number: +351…"))],
        help_text=_("Empty: the platform's TRANSFER_PHONE_NUMBER, if there is one."),
    )
    ring_timeout_s = models.PositiveSmallIntegerField(
        _("rings at most (s)"), default=30, validators=[MinValueValidator(5), MaxValueValidator(80)]
    )
    max_duration_s = models.PositiveSmallIntegerField(
        _("lasts at most (s)"), default=300, validators=[MinValueValidator(30), MaxValueValidator(1800)]
    )
    # Calling limits (R9). The caps of a purpose hold beside them: these can only tighten.
    max_attempts = models.PositiveSmallIntegerField(
        _("attempts at most"),
        default=2,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_ATTEMPTS)],
        help_text=_("The first call and its retries, until somebody picks up. Calls asked for by API are retried, no others."),
    )
    retry_busy_after_min = models.PositiveSmallIntegerField(
        _("again after busy (min)"), default=5, null=True, blank=True, validators=RETRY_MINUTES, help_text=_("Empty: no retry.")
    )
    retry_no_answer_after_min = models.PositiveSmallIntegerField(
        _("again after no answer (min)"), default=60, null=True, blank=True, validators=RETRY_MINUTES, help_text=_("Empty: no retry.")
    )
    retry_technical_after_min = models.PositiveSmallIntegerField(
        _("again after a fault of the network (min)"),
        default=2,
        null=True,
        blank=True,
        validators=RETRY_MINUTES,
        help_text=_("Empty: no retry."),
    )
    try_saying = models.JSONField(_("things to say to it"), default=list, blank=True)
    sample_call = models.JSONField(
        _("sample call"), default=list, blank=True, help_text=_("What the scripted caller of the sandbox says, in order.")
    )
    analysis = models.JSONField(_("fields to draw from a call"), default=list, blank=True)

    class Meta:
        abstract = True


class Persona(PersonaText):
    """A persona's draft: what staff edit. Calls are made with its newest published version."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="personas", verbose_name=_("organization"))
    slug = models.SlugField(_("slug"), max_length=40)
    is_public = models.BooleanField(_("meant for the site"), default=False)
    # The digest of the seeded text, as long as nobody edited it: seeding again updates only what staff never touched.
    seed_digest = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    changed_at = models.DateTimeField(_("changed"), auto_now=True)
    published = models.ForeignKey(
        "PersonaVersion",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("published version"),
    )

    class Meta:
        verbose_name = _("persona")
        verbose_name_plural = _("personas")
        ordering = ["name"]
        constraints = [
            # the API names a persona by its slug.
            models.UniqueConstraint(fields=["organization", "slug"], name="one_persona_per_slug"),
        ]

    def __str__(self) -> str:
        return self.name


class PersonaVersion(PersonaText):
    """What was published, frozen: rows are made by `personas.publishing.publish` and never changed."""

    persona = models.ForeignKey(Persona, on_delete=models.PROTECT, related_name="versions", verbose_name=_("persona"))
    slug = models.SlugField(_("slug"), max_length=40)
    number = models.PositiveIntegerField(_("version"))
    facts = models.JSONField(_("facts"), default=list, blank=True, help_text=_("key, title, value and aliases of each"))
    published_at = models.DateTimeField(_("published at"), default=timezone.now)
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("published by")
    )

    class Meta:
        verbose_name = _("persona version")
        verbose_name_plural = _("persona versions")
        ordering = ["-number"]
        constraints = [
            # staff and the API name a version by its number.
            models.UniqueConstraint(fields=["persona", "number"], name="one_version_per_number"),
            models.CheckConstraint(condition=Q(number__gte=1), name="versions_count_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.number}"


class Fact(models.Model):
    """One thing that a persona knows, ready to be spoken. Rows of the draft; a version holds a copy in its `facts`."""

    persona = models.ForeignKey(Persona, on_delete=models.CASCADE, related_name="fact_rows", verbose_name=_("persona"))
    key = models.SlugField(_("key"), max_length=64)
    title = models.CharField(_("title"), max_length=120)
    value = models.TextField(_("what is said"), help_text=_("Ready to be spoken: at most 45 words, numbers in words, true on its own."))
    aliases = models.JSONField(_("what callers say"), default=list, blank=True)
    position = models.PositiveSmallIntegerField(_("position"), default=0)

    class Meta:
        verbose_name = _("fact")
        verbose_name_plural = _("facts")
        ordering = ["position", "pk"]
        constraints = [
            # lookup answers by key; two facts of one key would be two truths.
            models.UniqueConstraint(fields=["persona", "key"], name="one_fact_per_key"),
        ]

    def __str__(self) -> str:
        return self.title

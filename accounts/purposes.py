"""Why a person is called: what they agreed to (R1). The opening says it, a consent and a key's declaration hold it."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Purpose(models.TextChoices):
    DEMO_CALL = "demo_call", _("demonstration call")
    TRANSACTIONAL = "transactional", _("asked-for contact")
    MARKETING = "marketing", _("offers")

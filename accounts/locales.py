"""The languages that a persona can speak."""

from django.db import models


class Locale(models.TextChoices):
    PT_PT = "pt-PT", "Português (Portugal)"
    PT_BR = "pt-BR", "Português (Brasil)"
    EN = "en", "English"

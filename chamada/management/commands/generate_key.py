"""`manage.py generate_key`: a key for FIELD_KEYS or BLIND_INDEX_KEY."""

import base64
import secrets
from typing import Any

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Print 32 random bytes in URL-safe base64: a key for FIELD_KEYS or BLIND_INDEX_KEY."
    requires_system_checks = []  # it is what the failing checks ask for

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())

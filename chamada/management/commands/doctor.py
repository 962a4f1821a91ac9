"""`manage.py doctor`: is everything there that calls need, and if not, what to do."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from chamada import doctor


class Command(BaseCommand):
    help = "Check settings, database, LiveKit, trunk and OpenAI. One line each; exit code 1 when something is wrong."
    requires_system_checks = []  # it tells them itself

    def handle(self, *args: Any, **options: Any) -> None:
        wrong = False
        for finding in doctor.findings():
            self.stdout.write(str(finding))
            wrong = wrong or finding.state == doctor.State.WRONG
        if wrong:
            sys.exit(1)

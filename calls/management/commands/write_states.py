"""`manage.py write_states`: write docs/states.md anew."""

from typing import Any

from django.core.management.base import BaseCommand

from ... import states_page


class Command(BaseCommand):
    help = "Write docs/states.md from the tables of states and of dial results."

    def handle(self, **options: Any) -> None:
        states_page.path().write_text(states_page.page(), encoding="utf-8")
        self.stdout.write(f"{states_page.PATH} written")

"""`manage.py seed_demo`: the demo organization, its login and its key, as `dev.py run` prints them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from chamada import demo


class Command(BaseCommand):
    help = "Bring the demo organization, its administrator, its personas and an API key. Running it again changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--site", default="http://127.0.0.1:8000/", help="the address that the credentials name")
        parser.add_argument("--credentials", type=Path, required=True, metavar="FILE", help="where they are kept, readable by you alone")
        parser.add_argument("--migrate", action="store_true", help="bring the database up to date first")

    def handle(self, *args: Any, site: str, credentials: Path, migrate: bool, **options: Any) -> None:
        if migrate:
            call_command("migrate", verbosity=0, interactive=False)
        seeded = demo.seed(demo.read(credentials, site=site))
        demo.write(seeded, credentials)
        self.stdout.write(json.dumps(asdict(seeded) | {"line": demo.line()}))

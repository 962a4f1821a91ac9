"""`manage.py seed_personas`: give organizations the three personas, now."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Organization
from personas.seeding import seed


class Command(BaseCommand):
    help = "Give organizations the three personas, published. What staff changed is not overwritten; again does nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", metavar="SLUG", help="only this one (default: all that are active)")

    def handle(self, *, organization: str | None, **options: Any) -> None:
        organizations = Organization.objects.filter(is_active=True)
        if organization:
            organizations = organizations.filter(slug=organization)
            if not organizations:
                raise CommandError(f"There is no active organization “{organization}”.")
        for found in organizations:
            self.stdout.write(f"{found.slug}: {seed(found)} personas made or changed")

"""Migrations hold all that the models say, and every field is declared for the day when a person is erased."""

from pathlib import Path

import pytest
import yaml
from django.apps import apps
from django.core.management import call_command

from .source import APPS

PERSONAL_DATA = yaml.safe_load(Path(__file__).with_name("personal_data.yaml").read_text())
KINDS = {"none", "kept", "erased", "evidence"}


@pytest.mark.django_db
def test_migrations_are_complete() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def declared() -> dict[str, str]:
    """`accounts.user.email`: its kind."""
    return {
        f"{model}.{field}": kind for model, kinds in PERSONAL_DATA["models"].items() for kind, fields in kinds.items() for field in fields
    }


def test_every_field_is_declared_for_personal_data() -> None:
    fields = {
        f"{model._meta.label_lower}.{field.name}"
        for model in apps.get_models()
        if model._meta.app_label in APPS
        for field in [*model._meta.fields, *model._meta.local_many_to_many]
    }
    assert (sorted(fields - set(declared())), sorted(set(declared()) - fields)) == ([], [])


def test_only_the_kinds_that_are_explained_are_used() -> None:
    assert set(PERSONAL_DATA["kinds"]) == KINDS
    assert set(declared().values()) <= KINDS


def test_what_is_encrypted_is_declared_personal() -> None:
    encrypted = {
        f"{model._meta.label_lower}.{field.name}"
        for model in apps.get_models()
        for field in model._meta.fields
        if type(field).__name__.startswith("Encrypted")
    }
    assert {field: declared()[field] for field in encrypted if declared()[field] not in ("erased", "evidence")} == {}

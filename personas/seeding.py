"""The three personas that every organization gets: restaurante, clínica and vendedor, in its own language.

What staff changed is never overwritten: a persona keeps the digest of the text that it was given, and only one whose
draft still has that digest follows a newer seed.
"""

import hashlib
import json
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import structlog
import yaml
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import looks
from accounts.locales import Locale
from accounts.models import Organization

from .models import Fact, Persona
from .publishing import TEXT_FIELDS, facts_of, publish

SLUGS = ("restaurante", "clinica", "vendedor")
HERE = Path(__file__).parent / "seeds"
NEVER = object()
DUE = "SELECT 1 FROM accounts_organization WHERE personas_seeded_at IS NULL AND is_active LIMIT 1"
# Columns that came when digests had been kept already: as long as they hold what everybody gets, a digest is made without them.
CAME_LATER = {
    name: Persona._meta.get_field(name).get_default()  # type: ignore[union-attr]
    for name in ("max_attempts", "retry_busy_after_min", "retry_no_answer_after_min", "retry_technical_after_min")
}
log = structlog.get_logger(__name__)


def seed(organization: Organization) -> int:
    """Give `organization` the personas that it lacks, published, and newer texts to those that nobody touched.

    Returns how many were made or changed: seeding again returns 0.
    """
    with transaction.atomic():
        # One at a time: the queue worker and the command may both be at it.
        Organization.objects.select_for_update().get(pk=organization.pk)
        changed = [slug for slug in SLUGS if _seed_one(organization, _read(organization.locale, slug))]
        Organization.objects.filter(pk=organization.pk, personas_seeded_at=None).update(personas_seeded_at=timezone.now())
    organization.refresh_from_db(fields=["personas_seeded_at"])
    return len(changed)


def seed_due_organizations() -> bool:
    """A step of the queue worker: give its personas to one organization that has none yet. True if there was one.

    One that fails stays due, and the next gets its turn; what went wrong is raised when none could be helped.
    """
    failure: Exception | None = None
    for organization in _due_organizations().order_by("pk"):
        try:
            count = seed(organization)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with one organization, those after it are not to wait for it
            log.warning("personas not given", organization=organization.pk, error=type(error).__name__)
            failure = error
            continue
        log.info("personas given", organization=organization.pk, count=count)
        return True
    if failure is not None:
        raise failure
    return False


def organizations_are_due() -> bool:
    return looks.finds(DUE, {})


def _due_organizations() -> QuerySet[Organization]:
    return Organization.objects.filter(personas_seeded_at=None, is_active=True)


def _seed_one(organization: Organization, text: dict[str, Any]) -> bool:
    facts = text["facts"]
    fields = {name: text[name] for name in TEXT_FIELDS if name in text}
    wanted = Persona(organization=organization, slug=text["slug"], is_public=organization.is_demo and text["public"], **fields)
    digest = _digest(wanted, facts)
    stored = Persona.objects.filter(organization=organization, slug=wanted.slug).first()
    if stored is None:
        wanted.seed_digest = digest
        wanted.save()
        _write_facts(wanted, facts)
        publish(by=None, persona=wanted)
        return True
    is_untouched = stored.seed_digest == _digest(stored, facts_of(stored))
    if not is_untouched or stored.seed_digest == digest:
        return False
    for name in TEXT_FIELDS:
        setattr(stored, name, getattr(wanted, name))
    stored.seed_digest = digest
    stored.save()
    stored.fact_rows.all().delete()
    _write_facts(stored, facts)
    if stored.published:
        publish(by=None, persona=stored)
    return True


def _write_facts(persona: Persona, facts: list[dict[str, Any]]) -> None:
    Fact.objects.bulk_create(Fact(persona=persona, position=position, **fact) for position, fact in enumerate(facts))


def _digest(persona: Persona, facts: list[dict[str, Any]]) -> str:
    def plain(value: Any) -> Any:
        return f"{value:.2f}" if isinstance(value, Decimal) else value

    text = {name: plain(value) for name in TEXT_FIELDS if (value := getattr(persona, name)) != CAME_LATER.get(name, NEVER)}
    return hashlib.sha256(json.dumps([text, facts], sort_keys=True).encode()).hexdigest()


@cache
def _read(locale: str, slug: str) -> dict[str, Any]:
    # There are no English ones: an English organization begins with the Portuguese.
    folder = locale if locale == Locale.PT_BR else Locale.PT_PT
    text: dict[str, Any] = yaml.safe_load((HERE / folder / f"{slug}.yaml").read_text(encoding="utf-8"))
    return text | {name: Decimal(str(text[name])) for name in ("speed", "temperature")}

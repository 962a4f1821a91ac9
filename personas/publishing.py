"""From a draft to what calls are made with."""

from typing import Any

from django.db import transaction
from django.db.models import Max

from accounts.models import Organization, User
from accounts.permissions import Action, check_may

from .checking import problems_of, problems_of_facts, problems_of_prompt
from .exceptions import NotPublishable, UnknownPersona, UnknownVersion, UnpublishedPersona
from .models import Persona, PersonaText, PersonaVersion

# What the column holds.
MOST_VERSIONS = 2**31
# What asking for a call reads of a published version.
ASKED_FOR = tuple(
    f"published__{name}" for name in ("persona", "slug", "number", "locale", "self_gender", "ring_timeout_s", "max_duration_s")
)
TEXT_FIELDS = tuple(field.name for field in PersonaText._meta.get_fields())


def draft_of(persona: Persona) -> PersonaVersion:
    """What publishing would freeze now, not saved: the draft's text and its facts, without a number."""
    return PersonaVersion(
        persona=persona, slug=persona.slug, facts=facts_of(persona), **{name: getattr(persona, name) for name in TEXT_FIELDS}
    )


def facts_of(persona: Persona) -> list[dict[str, Any]]:
    """The draft's facts as a version holds them."""
    return [{"key": fact.key, "title": fact.title, "value": fact.value, "aliases": fact.aliases} for fact in persona.fact_rows.all()]


def changes_of(persona: Persona) -> list[str]:
    """The names of the fields in which the draft differs from what is published; all of them if nothing is."""
    draft, published = draft_of(persona), persona.published
    return [name for name in (*TEXT_FIELDS, "facts") if published is None or getattr(draft, name) != getattr(published, name)]


def check_publishable(persona: Persona) -> None:
    """Raises NotPublishable with everything that is wrong with the draft."""
    problems = problems_of(persona)
    if sentences := problems_of_facts(facts_of(persona)):
        problems["facts"] = sentences
    if not problems and (sentences := problems_of_prompt(draft_of(persona))):
        problems["instructions"] = sentences
    if problems:
        raise NotPublishable(problems)


@transaction.atomic
def publish(*, by: User | None, persona: Persona) -> PersonaVersion:
    """Freeze the draft as the next version; from now on calls are made with it. `by` None is the platform itself.

    A draft that says what is published already makes no other version. Raises NotAllowed, NotPublishable.
    """
    if by is not None:
        check_may(by, Action.PUBLISH_PERSONAS, persona.organization)
    locked = Persona.objects.select_for_update().select_related(None).get(pk=persona.pk)
    check_publishable(locked)
    if locked.published and not changes_of(locked):
        version = locked.published
    else:
        version = draft_of(locked)
        version.number = (locked.versions.aggregate(last=Max("number"))["last"] or 0) + 1
        version.published_by = by
        version.save()
        locked.published = version
        # Publishing changes no text: `changed_at` stays.
        locked.save(update_fields=["published"])
    persona.refresh_from_db()
    return version


def withdraw(*, by: User, persona: Persona) -> None:
    """No call can be asked for with it until it is published again; those asked for keep their version. Raises NotAllowed."""
    check_may(by, Action.PUBLISH_PERSONAS, persona.organization)
    persona.published = None
    persona.save(update_fields=["published"])


def version_for(*, organization: Organization, persona: str, version: int | None = None) -> PersonaVersion:
    """The version that a call is made with: the one that is published, or the one with that number.

    `persona` is a slug or an id. Raises UnknownPersona, UnknownVersion, UnpublishedPersona.
    """
    # A request for a call needs few of the columns; who briefs the agent has the others from the database then.
    personas = Persona.objects.filter(organization=organization).select_related("published").only("slug", *ASKED_FOR)
    found = personas.filter(slug=persona).first()
    if found is None and persona.isascii() and persona.isdigit() and len(persona) < 18:
        found = personas.filter(pk=int(persona)).first()
    if found is None:
        raise UnknownPersona(persona=persona[:40])
    if found.published is None:
        raise UnpublishedPersona(persona=found.slug)
    if version is None:
        return found.published
    numbered = found.versions.filter(number=version).first() if 0 < version < MOST_VERSIONS else None
    if numbered is None:
        raise UnknownVersion(persona=found.slug, version=version)
    return numbered

"""The addresses of a persona's pages in the admin, and what they say."""

from typing import Any

from django.urls import reverse

from personas.models import Persona


def messages(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def change(persona: Persona) -> str:
    return reverse("admin:personas_persona_change", args=[persona.pk])


def verb(name: str, persona: Persona) -> str:
    return reverse(f"admin:personas_persona_{name}", args=[persona.pk])

"""The opening: the first words of every call, fixed by the platform (R3): an AI, on whose behalf, why, how to stop."""

import hashlib
import json
from decimal import Decimal

from .platform import words
from .templating import render


def opening_text(*, locale: str, gender: str, of_organization: str, organization: str, purpose: str) -> str:
    """What is spoken as soon as the phone is picked up. `purpose` is one of `accounts.purposes.Purpose`."""
    return render(words(locale).opening[purpose], _names(locale, gender, of_organization, organization))


def opening_again(*, locale: str, gender: str, of_organization: str, organization: str, purpose: str) -> str:
    """The same, shorter, for somebody who talked over it before it said who calls and that it is an AI."""
    return render(words(locale).opening_again[purpose], _names(locale, gender, of_organization, organization))


def opening_key(*, text: str, voice: str, model: str, speed: Decimal | float, endpoint: str) -> str:
    """The name that a rendering is stored under: 64 hexadecimal digits.

    The endpoint is part of it: an emulator's voice must never play on a real call.
    """
    return hashlib.sha256(json.dumps([text, voice, model, f"{float(speed):.2f}", endpoint]).encode()).hexdigest()


def _names(locale: str, gender: str, of_organization: str, organization: str) -> dict[str, str]:
    return {"assistant": words(locale).assistant[gender], "of_organization": of_organization, "organization": organization}

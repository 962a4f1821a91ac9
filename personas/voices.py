"""The catalogue of voices and voice models: data in one place.

Sources: OpenAI's reference of the Realtime API (`audio.output.voice`, `model`, `reasoning`) and its page of deprecations, November 2026.
"""

from dataclasses import dataclass
from datetime import date

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

DEFAULT_VOICE = "marin"


@dataclass(frozen=True, slots=True)
class Voice:
    name: str
    note: str | Promise = ""


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    note: str | Promise = ""
    reasons: bool = False
    shuts_down: date | None = None


VOICES: dict[str, Voice] = {
    voice.name: voice
    for voice in (
        Voice("marin", _("made for these models; feminine")),
        Voice("cedar", _("made for these models; masculine")),
        Voice("alloy"),
        Voice("ash"),
        Voice("ballad"),
        Voice("coral"),
        Voice("echo"),
        Voice("sage"),
        Voice("shimmer"),
        Voice("verse"),
    )
}
MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        Model("gpt-realtime-2.1-mini", _("quick and cheap"), reasons=True),
        Model("gpt-realtime-2.1", _("follows long instructions best"), reasons=True),
        Model("gpt-realtime-2", reasons=True),
        Model("gpt-realtime-1.5"),
        Model("gpt-realtime", shuts_down=date(2027, 1, 20)),
        Model("gpt-realtime-mini", shuts_down=date(2027, 1, 20)),
    )
}


def model_of(chosen: str) -> str:
    """The model that a persona's choice means: "" is the platform's, REALTIME_MODEL."""
    return chosen or settings.REALTIME_MODEL


def may_use_model(chosen: str) -> bool:
    """Whether a persona may name this model: one of the catalogue, or the platform's own."""
    return model_of(chosen) in {*MODELS, settings.REALTIME_MODEL}


def may_reason(chosen: str) -> bool:
    """Whether the model takes a reasoning effort. One that the catalogue does not know is trusted to."""
    model = MODELS.get(model_of(chosen))
    return model is None or model.reasons

"""The callee of the sandbox line where nobody sits at it: says the persona's sample sentences, each when its turn has come."""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from agent_worker.lines.sandbox import Callee, Handset
from agent_worker.realtime_emulator import speech

log = structlog.get_logger(__name__)

TURN_S = 0.6  # silent for so long, the persona has finished; shorter, and it is drawing breath
PATIENCE_S = 15.0  # for an answer, before it speaks again or hangs up
LINGER_S = 3.0  # after the last answer, so that the persona can say goodbye and hang up itself
LONGEST_S = 600.0
# One of the two is never the persona's own voice.
VOICES = ("caller", "coral")
PAUSE_MS = 150  # between two sentences of one turn: a longer pause would end the turn


def voice_beside(persona_voice: str) -> str:
    """A voice that nobody takes for the persona's."""
    same = speech.VARIANTS.get(persona_voice) == speech.VARIANTS[VOICES[0]]
    return VOICES[1] if same else VOICES[0]


class ScriptedCallee(Callee):
    """Says `sentences` in order and then hangs up, unless the persona did before. It ends by itself whatever the persona does.

    `declare` is told each sentence just before it is said: an emulated model hears that somebody speaks, not what.
    """

    def __init__(self, sentences: Sequence[str], *, locale: str, voice: str, declare: Callable[[str], None] | None = None) -> None:
        self._sentences = sentences
        self._locale = locale
        self._voice = voice
        self._declare = declare

    async def converse(self, handset: Handset) -> None:
        try:
            async with asyncio.timeout(LONGEST_S):
                for sentence in self._sentences:
                    sound = await speech.speak(sentence, locale=self._locale, voice=self._voice, max_pause_ms=PAUSE_MS)
                    await self._persona_has_spoken(handset)
                    if self._declare is not None:
                        self._declare(sentence)
                    await handset.speak(sound)
                await self._persona_has_spoken(handset)
                await handset.heard_nothing_for(LINGER_S)
        except TimeoutError:
            log.warning("scripted callee hangs up on a persona without an end")

    async def _persona_has_spoken(self, handset: Handset) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await handset.heard_something()
        except TimeoutError:
            log.info("scripted callee got no answer")
            return
        await handset.heard_nothing_for(TURN_S)

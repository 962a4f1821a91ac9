"""The voice: words become sound of the right length, in each language, without holding up a loop."""

import asyncio

import numpy as np
import pytest

from agent_worker.realtime_emulator.speech import SAMPLE_RATE, SpeechError, speak, synthesize

SENTENCES = {
    "pt-PT": "Boa tarde, queria marcar uma mesa para sábado à noite.",
    "pt-BR": "Oi, boa tarde! Queria reservar uma mesa para sábado.",
    "en": "Hello, I would like a table for Saturday night.",
}


def seconds(pcm: bytes) -> float:
    return len(pcm) / 2 / SAMPLE_RATE


@pytest.mark.parametrize("locale", SENTENCES)
def test_a_sentence_takes_as_long_as_a_person_would(locale: str) -> None:
    pcm = synthesize(SENTENCES[locale], locale=locale)
    samples = np.abs(np.frombuffer(pcm, "<i2").astype(int))
    assert 2.0 < seconds(pcm) < 6.0
    assert 15_000 < samples.max() < 17_000
    assert samples[: SAMPLE_RATE // 20].max() > 100  # no silence before the first word


def test_languages_voices_and_speeds_differ() -> None:
    text = "Boa tarde, muito obrigada."
    sounds = [
        synthesize(text, locale="pt-PT"),
        synthesize(text, locale="pt-BR"),
        synthesize(text, locale="pt-PT", voice="cedar"),
        synthesize(text, locale="pt-PT", voice="a voice of next year"),
        synthesize(text, locale="pt-PT", pitch=80),
        synthesize(text, locale="pt-PT", speed=1.4),
    ]
    assert len(set(sounds)) == len(sounds)
    assert seconds(sounds[-1]) < seconds(sounds[0]) * 0.9


def test_pauses_can_be_shortened() -> None:
    text = "Às oito e meia. Somos quatro. Em nome de Sofia."
    long, short = (synthesize(text, locale="pt-PT", max_pause_ms=pause) for pause in (None, 100))
    assert seconds(long) - seconds(short) > 0.2
    loud = np.flatnonzero(np.abs(np.frombuffer(short, "<i2").astype(int)) > 600)
    assert np.diff(loud).max() < SAMPLE_RATE * 0.2


@pytest.mark.parametrize("text", ["", "  ", "…", "?!"])
def test_without_words_there_is_no_sound(text: str) -> None:
    assert synthesize(text, locale="pt-PT") == b""


def test_a_language_without_a_voice_is_refused() -> None:
    with pytest.raises(SpeechError, match="there is no voice for 'fr'"):
        synthesize("Bonjour", locale="fr")


async def test_the_loop_runs_on_while_speech_is_made_and_all_get_their_own() -> None:
    texts = [f"Esta é a frase número {number}." for number in range(8)]
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    sounds = await asyncio.gather(*(speak(text, locale="pt-PT") for text in texts))
    ticking.cancel()
    assert ticks > len(texts)
    assert sounds == [synthesize(text, locale="pt-PT") for text in texts]

"""Speech without a network: eSpeak NG, as a library, in Portuguese and English.

Robotic and intelligible. `speak` is for the event loop, `synthesize` for everything else; both give pcm16 mono at 24 kHz.
"""

import asyncio
import ctypes
import functools
import threading
from concurrent.futures import ThreadPoolExecutor

import espeakng_loader
import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 24_000
"""Samples a second of everything that this module gives."""
BYTES_PER_MS = SAMPLE_RATE * 2 // 1000
WORDS_PER_MINUTE = 165

LANGUAGES = {"pt-PT": "pt", "pt-BR": "pt-br", "en": "en-us"}
# The variants of espeak that stand in for the service's voices: recognisably apart, nothing more.
VARIANTS = {
    "marin": "f2",
    "cedar": "m3",
    "coral": "f4",
    "sage": "f5",
    "shimmer": "f1",
    "alloy": "f3",
    "ash": "m2",
    "ballad": "m1",
    "echo": "m4",
    "verse": "m7",
    "caller": "m3",
}

_SYNCHRONOUS = 2
_UTF8 = 1
_RATE, _PITCH = 1, 3
_PEAK = 0.5  # of full scale: as loud as a telephone, far above the threshold of a voice detector
_SILENT = 400  # of 32768: below it a sample belongs to a pause, for a voice detector too


class SpeechError(Exception):
    """This text cannot be turned into speech."""


_SynthCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def _files() -> tuple[str, str]:
    """The library and its data in the wheel, which has no types."""
    return str(espeakng_loader.get_library_path()), str(espeakng_loader.get_data_path())  # type: ignore[no-untyped-call]


class _Espeak:
    """The library. Its state is global to the process: one caller at a time."""

    def __init__(self) -> None:
        library, data = _files()
        self._library = ctypes.CDLL(library)
        self._rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), 0)
        if self._rate <= 0:
            raise SpeechError("espeak-ng cannot be initialised: its data are missing")
        self._chunks: list[bytes] = []
        self._callback = _SynthCallback(self._collect)  # kept: the library holds only a pointer to it
        self._library.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples: object, count: int, _events: object) -> int:
        if samples and count > 0:
            self._chunks.append(ctypes.string_at(samples, count * 2))  # type: ignore[arg-type]  # a ctypes pointer
        return 0

    def render(self, text: str, *, voice: str, words_per_minute: int, pitch: int) -> tuple[npt.NDArray[np.float32], int]:
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise SpeechError(f"espeak-ng has no voice {voice!r}")
        self._library.espeak_SetParameter(_RATE, words_per_minute, 0)
        self._library.espeak_SetParameter(_PITCH, pitch, 0)
        self._chunks.clear()
        raw = text.encode()
        if self._library.espeak_Synth(raw, len(raw) + 1, 0, 0, 0, _UTF8, None, None) != 0:
            raise SpeechError("espeak-ng did not render the text")
        return np.frombuffer(b"".join(self._chunks), "<i2").astype(np.float32), self._rate


_lock = threading.Lock()
_engine = functools.cache(_Espeak)
_executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="espeak")


def synthesize(
    text: str,
    *,
    locale: str,
    voice: str = "marin",
    speed: float = 1.0,
    words_per_minute: int = WORDS_PER_MINUTE,
    pitch: int = 50,
    max_pause_ms: int | None = None,
) -> bytes:
    """The text as pcm16 mono at 24 kHz; empty for a text without words. Blocks for some milliseconds: not for an event loop.

    `voice` is a name of the service's voices, or "caller"; an unknown one gets the language's own voice. `speed` is the service's
    (0.25 to 1.5), `pitch` espeak's (0 to 99). `max_pause_ms` shortens the pauses between sentences, so that a voice
    detector hears one turn. Raises SpeechError when the locale has no voice.
    """
    return _cached(text.strip(), locale, voice, round(words_per_minute * speed), pitch, max_pause_ms)


async def speak(
    text: str,
    *,
    locale: str,
    voice: str = "marin",
    speed: float = 1.0,
    words_per_minute: int = WORDS_PER_MINUTE,
    pitch: int = 50,
    max_pause_ms: int | None = None,
) -> bytes:
    """`synthesize`, in a thread of its own."""
    render = functools.partial(
        synthesize, text, locale=locale, voice=voice, speed=speed, words_per_minute=words_per_minute, pitch=pitch, max_pause_ms=max_pause_ms
    )
    return await asyncio.get_running_loop().run_in_executor(_executor, render)


@functools.lru_cache(maxsize=512)
def _cached(text: str, locale: str, voice: str, words_per_minute: int, pitch: int, max_pause_ms: int | None) -> bytes:
    if not any(character.isalnum() for character in text):
        return b""
    if locale not in LANGUAGES:
        raise SpeechError(f"there is no voice for {locale!r}, only for {', '.join(LANGUAGES)}")
    variant = VARIANTS.get(voice)
    name = f"{LANGUAGES[locale]}+{variant}" if variant else LANGUAGES[locale]
    with _lock:
        samples, rate = _engine().render(text, voice=name, words_per_minute=words_per_minute, pitch=pitch)
    samples = _resampled(_trimmed(samples), rate)
    samples = samples * (_PEAK * 32767 / float(np.abs(samples).max(initial=1.0)))
    if max_pause_ms is not None:
        samples = _with_short_pauses(samples, max_pause_ms)
    return samples.astype("<i2").tobytes()


def _trimmed(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Without espeak's silence at both ends."""
    loud = np.flatnonzero(np.abs(samples) > _SILENT)
    return samples[loud[0] : loud[-1] + 1] if loud.size else samples[:0]


def _resampled(samples: npt.NDArray[np.float32], rate: int) -> npt.NDArray[np.float32]:
    count = len(samples) * SAMPLE_RATE // rate
    if count == 0:
        return samples[:0]
    return np.interp(np.linspace(0, len(samples) - 1, count), np.arange(len(samples)), samples).astype(np.float32)


def _with_short_pauses(samples: npt.NDArray[np.float32], max_pause_ms: int) -> npt.NDArray[np.float32]:
    longest = max_pause_ms * SAMPLE_RATE // 1000
    loud = np.flatnonzero(np.abs(samples) > _SILENT)
    gaps = np.flatnonzero(np.diff(loud) > longest)
    kept, start = [], 0
    for gap in gaps:
        kept.append(samples[start : loud[gap] + longest])
        start = int(loud[gap + 1])
    return np.concatenate([*kept, samples[start:]])

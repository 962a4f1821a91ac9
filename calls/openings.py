"""The store of rendered sentences: openings, and what is said when no model can speak (design §5)."""

import io
import re
import wave

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

SAMPLE_RATE = 24_000
SAMPLE_BYTES = 2
KEY = re.compile(r"[0-9a-f]{64}")


def find(key: str) -> bytes | None:
    """The rendering stored under `key` (`personas.opening.opening_key`): PCM, 16 bit, mono, 24 kHz. None: there is none (yet)."""
    try:
        with default_storage.open(_name(key)) as file, wave.open(io.BytesIO(file.read())) as sound:
            frames, pcm = sound.getnframes(), sound.readframes(sound.getnframes())
    except (FileNotFoundError, EOFError, wave.Error):
        return None
    # Another job may be writing it just now.
    return pcm if len(pcm) == frames * SAMPLE_BYTES else None


def keep(key: str, pcm: bytes) -> None:
    """Store a rendering. One that is there stays: two jobs may render the same sentence at once."""
    name = _name(key)
    if default_storage.exists(name):
        return
    written = io.BytesIO()
    with wave.open(written, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(SAMPLE_BYTES)
        sound.setframerate(SAMPLE_RATE)
        sound.writeframes(pcm)
    default_storage.save(name, ContentFile(written.getvalue()))


def _name(key: str) -> str:
    if not KEY.fullmatch(key):
        raise ValueError("The key of an opening has 64 hexadecimal digits.")
    return f"openings/{key}.wav"

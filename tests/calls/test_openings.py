"""Rendered sentences are kept once, as sound that plays."""

import io
import wave

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from calls import openings

KEY = "a" * 64
PCM = bytes(range(256)) * 20


@pytest.fixture(autouse=True)
def _empty_store() -> object:
    yield
    if default_storage.exists(f"openings/{KEY}.wav"):
        default_storage.delete(f"openings/{KEY}.wav")


def test_what_is_kept_is_found_again() -> None:
    assert openings.find(KEY) is None
    openings.keep(KEY, PCM)
    assert openings.find(KEY) == PCM
    with default_storage.open(f"openings/{KEY}.wav") as file, wave.open(io.BytesIO(file.read())) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (24_000, 1, 2)


def test_the_first_rendering_stays() -> None:
    openings.keep(KEY, PCM)
    openings.keep(KEY, b"\0\0")
    assert openings.find(KEY) == PCM
    assert [name for name in default_storage.listdir("openings")[1] if name.startswith(KEY)] == [f"{KEY}.wav"]


@pytest.mark.parametrize("length", [0, 20, 400])
def test_a_rendering_that_is_being_written_is_none_yet(length: int) -> None:
    openings.keep(KEY, PCM)
    with default_storage.open(f"openings/{KEY}.wav") as file:
        whole = file.read()
    default_storage.delete(f"openings/{KEY}.wav")
    default_storage.save(f"openings/{KEY}.wav", ContentFile(whole[:length]))
    assert openings.find(KEY) is None


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "A" * 64, "a" * 63])
def test_a_key_that_is_no_key_reaches_no_file(key: str) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        openings.find(key)
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        openings.keep(key, PCM)

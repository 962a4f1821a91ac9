"""The gate between the callee and the model."""

import math
import struct

import pytest
from livekit import rtc

from agent_worker.hearing import ONSET_S, Ear

RATE = 24_000
FRAME_S = 0.05


def frame(amplitude: int = 0, mark: int = 0) -> rtc.AudioFrame:
    """50 ms of a tone; its first sample is `mark`."""
    count = int(RATE * FRAME_S)
    samples = [mark, *(int(amplitude * math.sin(n / 5)) for n in range(1, count))]
    return rtc.AudioFrame(struct.pack(f"<{count}h", *samples), RATE, 1, count)


def marks(frames: list[rtc.AudioFrame]) -> list[int]:
    return [int(each.data[0]) for each in frames]


SPEECH, NOISE = 6000, 200


@pytest.fixture
def ear() -> Ear:
    return Ear()


def test_an_open_ear_passes_every_frame_on(ear: Ear) -> None:
    ear.let_go()
    assert [marks(ear.hear(frame(mark=n))) for n in (1, 2)] == [[1], [2]]


def test_what_is_said_before_anybody_can_answer_is_held(ear: Ear) -> None:
    assert ear.hear(frame(SPEECH, mark=1)) == []
    ear.let_go()
    assert marks(ear.hear(frame(mark=2))) == [1, 2]


def test_what_is_said_while_it_is_held_comes_in_order_once_it_is_let_go(ear: Ear) -> None:
    ear.hold()
    assert [ear.hear(frame(SPEECH, mark=n)) for n in (1, 2, 3)] == [[], [], []]
    ear.let_go()
    assert marks(ear.hear(frame(mark=4))) == [1, 2, 3, 4]
    assert marks(ear.hear(frame(mark=5))) == [5]


def test_of_a_long_silence_only_its_last_moment_is_kept(ear: Ear) -> None:
    ear.hold()
    for n in range(200):
        ear.hear(frame(mark=n))
    ear.let_go()
    kept = marks(ear.hear(frame(mark=200)))
    assert (kept[-1], len(kept)) == (200, round(ONSET_S / FRAME_S) + 1)


def test_the_sound_just_before_the_first_word_is_kept(ear: Ear) -> None:
    ear.hold()
    for n in range(20):
        ear.hear(frame(mark=n))
    for n in range(20, 40):
        ear.hear(frame(SPEECH, mark=n))
    ear.let_go()
    assert marks(ear.hear(frame(mark=40))) == list(range(13, 41))


@pytest.mark.parametrize(
    ("amplitudes", "heard"),
    [
        ([NOISE] * 40, False),
        ([SPEECH, 0, 0, 0, SPEECH, 0, 0, 0], False),  # two clicks
        ([SPEECH, SPEECH], True),
        ([SPEECH, 0, SPEECH, SPEECH], True),
    ],
)
def test_speech_is_told_from_noise_and_clicks(ear: Ear, amplitudes: list[int], heard: bool) -> None:
    ear.hold()
    for amplitude in amplitudes:
        ear.hear(frame(amplitude))
    assert ear.heard_speech is heard


def test_holding_twice_forgets_nothing(ear: Ear) -> None:
    ear.hold()
    ear.hear(frame(SPEECH, mark=1))
    ear.hear(frame(SPEECH, mark=2))
    ear.hold()
    assert (ear.holding, ear.heard_speech) == (True, True)
    ear.let_go()
    assert marks(ear.hear(frame(mark=3))) == [1, 2, 3]

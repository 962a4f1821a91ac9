"""The sandbox's sound: real time in both directions, and a loudspeaker that the session can count on."""

import asyncio
import time

import pytest
from livekit import rtc
from livekit.agents.voice.io import PlaybackFinishedEvent

from agent_worker.lines.audio import FRAME_BYTES, FRAME_S, SAMPLE_RATE, Loudspeaker, Microphone


def frame(seconds: float, level: int = 1000) -> rtc.AudioFrame:
    samples = int(SAMPLE_RATE * seconds)
    return rtc.AudioFrame(level.to_bytes(2, "little") * samples, SAMPLE_RATE, 1, samples)


class Ended:
    """The segments that a loudspeaker reported, as (heard seconds, interrupted)."""

    def __init__(self, loudspeaker: Loudspeaker) -> None:
        self.segments: list[tuple[float, bool]] = []
        self.started = 0
        loudspeaker.on("playback_finished", self._finished)
        loudspeaker.on("playback_started", self._started)

    def _finished(self, event: PlaybackFinishedEvent) -> None:
        self.segments.append((round(event.playback_position, 3), event.interrupted))

    def _started(self, _event: object) -> None:
        self.started += 1


async def test_the_microphone_is_never_silent_on_the_line_and_keeps_real_time() -> None:
    microphone = Microphone()
    began = time.monotonic()
    frames = [await anext(microphone) for _ in range(15)]
    lasted = time.monotonic() - began
    assert {bytes(each.data) for each in frames} == {bytes(FRAME_BYTES)}
    assert 15 * FRAME_S <= lasted + 0.005 < 15 * FRAME_S + 0.25


async def test_what_is_said_arrives_once_in_order_and_is_padded_with_silence() -> None:
    microphone = Microphone()
    word = b"\x01\x02" * (FRAME_BYTES // 2) + b"\x03\x04" * 10
    saying = asyncio.create_task(microphone.speak(word))
    await asyncio.sleep(0)
    frames = [bytes((await anext(microphone)).data) for _ in range(3)]
    assert b"".join(frames) == word.ljust(3 * FRAME_BYTES, b"\0")
    await asyncio.wait_for(saying, 1)


async def test_to_say_nothing_takes_no_time() -> None:
    await asyncio.wait_for(Microphone().speak(b""), 1)


async def test_a_microphone_that_stood_still_does_not_catch_up() -> None:
    microphone = Microphone()
    await anext(microphone)
    microphone._next_at -= 10  # the process slept for ten seconds
    began = time.monotonic()
    for _ in range(5):
        await anext(microphone)
    assert time.monotonic() - began >= 4 * FRAME_S


async def test_a_closed_microphone_ends_the_input_and_releases_whoever_speaks() -> None:
    microphone = Microphone()
    saying = asyncio.create_task(microphone.speak(bytes(FRAME_BYTES * 50)))
    await anext(microphone)
    microphone.close()
    await asyncio.wait_for(saying, 1)
    await asyncio.wait_for(microphone.speak(b"late"), 1)
    with pytest.raises(StopAsyncIteration):
        await anext(microphone)


async def test_a_segment_is_heard_at_the_speed_of_speech_and_ends_once() -> None:
    loudspeaker = Loudspeaker()
    ended = Ended(loudspeaker)
    began = time.monotonic()
    await loudspeaker.capture_frame(frame(0.2))
    await loudspeaker.capture_frame(frame(0.1))
    loudspeaker.flush()
    event = await asyncio.wait_for(loudspeaker.wait_for_playout(), 2)
    assert time.monotonic() - began >= 0.29
    assert ended.started == 1
    assert ended.segments == [(0.3, False)]
    assert (round(event.playback_position, 3), event.interrupted) == ended.segments[0]


async def test_an_interrupted_segment_ends_at_once_where_it_was_cut() -> None:
    loudspeaker = Loudspeaker()
    ended = Ended(loudspeaker)
    await loudspeaker.capture_frame(frame(5))
    loudspeaker.flush()
    await loudspeaker.heard_something()
    await asyncio.sleep(0.1)
    loudspeaker.clear_buffer()
    ((heard_s, interrupted),) = ended.segments
    assert interrupted
    assert 0.05 <= heard_s <= 0.5
    await asyncio.wait_for(loudspeaker.wait_for_playout(), 1)


async def test_a_segment_that_is_cut_before_its_end_came_ends_once_and_the_next_one_counts() -> None:
    loudspeaker = Loudspeaker()
    ended = Ended(loudspeaker)
    await loudspeaker.capture_frame(frame(1))
    loudspeaker.clear_buffer()
    loudspeaker.flush()
    await loudspeaker.capture_frame(frame(0.04))
    loudspeaker.flush()
    await asyncio.wait_for(loudspeaker.wait_for_playout(), 1)
    assert ended.segments == [(0.0, True), (0.04, False)]


async def test_to_clear_or_flush_silence_reports_nothing() -> None:
    loudspeaker = Loudspeaker()
    ended = Ended(loudspeaker)
    loudspeaker.clear_buffer()
    loudspeaker.flush()
    assert ended.segments == []


async def test_a_segment_waits_for_the_one_before_it() -> None:
    loudspeaker = Loudspeaker()
    ended = Ended(loudspeaker)
    await loudspeaker.capture_frame(frame(0.1))
    loudspeaker.flush()
    await loudspeaker.capture_frame(frame(0.06))
    assert ended.segments == [(0.1, False)]
    loudspeaker.flush()
    await asyncio.wait_for(loudspeaker.wait_for_playout(), 1)
    assert ended.segments[1:] == [(0.06, False)]


async def test_a_model_that_pauses_for_breath_is_still_in_one_segment() -> None:
    loudspeaker = Loudspeaker()
    ended = Ended(loudspeaker)
    await loudspeaker.capture_frame(frame(0.04))
    await loudspeaker.heard_something()
    await loudspeaker.heard_nothing_for(0.05)
    assert ended.segments == []
    await loudspeaker.capture_frame(frame(0.04))
    loudspeaker.flush()
    await asyncio.wait_for(loudspeaker.wait_for_playout(), 1)
    assert (ended.started, ended.segments) == (1, [(0.08, False)])


async def test_a_paused_loudspeaker_is_silent_and_goes_on_where_it_was() -> None:
    loudspeaker = Loudspeaker()
    ended = Ended(loudspeaker)
    loudspeaker.pause()
    await loudspeaker.capture_frame(frame(0.1))
    loudspeaker.flush()
    await asyncio.wait_for(loudspeaker.heard_nothing_for(0.15), 1)
    assert ended.segments == []
    loudspeaker.resume()
    await asyncio.wait_for(loudspeaker.wait_for_playout(), 1)
    assert ended.segments == [(0.1, False)]


async def test_silence_is_counted_from_the_last_sound() -> None:
    loudspeaker = Loudspeaker()
    await loudspeaker.capture_frame(frame(0.1))
    loudspeaker.flush()
    await loudspeaker.heard_something()
    waiting = asyncio.create_task(loudspeaker.heard_nothing_for(0.2))
    await loudspeaker.wait_for_playout()
    await loudspeaker.capture_frame(frame(0.1))
    loudspeaker.flush()
    await loudspeaker.wait_for_playout()
    quiet_since = time.monotonic()
    await asyncio.wait_for(waiting, 1)
    assert time.monotonic() - quiet_since >= 0.19

"""What a telephone carries, and what an ear makes of it: pcm16, mono, 8 kHz, in frames of 20 ms."""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from livekit import rtc
from numpy.typing import NDArray

RATE = 8000
FRAME_S = 0.02
FRAME_SAMPLES = int(RATE * FRAME_S)
FRAME_BYTES = FRAME_SAMPLES * 2
SILENCE = bytes(FRAME_BYTES)

# Root mean square of a frame, of 32767. Speech in these tests has thousands; what a codec leaves of silence, a few dozen.
VOICE_LEVEL = 300
# A pause inside a sentence is no silence.
PAUSE_S = 0.3
SHORTEST_VOICE_S = 0.12

Samples = NDArray[np.int16]


def samples(pcm: bytes) -> Samples:
    taken: Samples = np.frombuffer(pcm, dtype=np.int16)
    return taken


@lru_cache(maxsize=1)
def _g711_table() -> Samples:
    """What G.711 µ-law makes of each sample, indexed by its 16 bits read as unsigned (ITU-T G.711, bias 132, clip 32635)."""
    linear = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    biased = np.minimum(np.abs(linear), 32635) + 132
    exponent = np.floor(np.log2(biased)).astype(np.int32) - 7
    mantissa = (biased >> (exponent + 3)) & 0x0F
    magnitude = (((mantissa << 3) + 132) << exponent) - 132
    table: Samples = (np.sign(linear) * magnitude).astype(np.int16)
    return table


def through_g711(pcm: bytes) -> bytes:
    """`pcm` after µ-law encoding and decoding."""
    return _g711_table()[samples(pcm).view(np.uint16)].tobytes()


def loudness(pcm: bytes) -> float:
    """Root mean square, 0 to 32767."""
    if not pcm:
        return 0.0
    return float(np.sqrt(np.mean(samples(pcm).astype(np.float64) ** 2)))


def tone(frequency: float, seconds: float, *, rate: int = RATE, level: int = 8000) -> bytes:
    """A sine of `frequency` Hz with an amplitude of `level`."""
    moments = np.arange(int(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * frequency * moments)).astype(np.int16).tobytes()


def dominant_frequency(pcm: bytes, *, rate: int = RATE) -> float:
    """The strongest frequency in `pcm`, Hz; 0 of nothing."""
    if not pcm:
        return 0.0
    windowed = samples(pcm) * np.hanning(len(pcm) // 2)
    return float(np.argmax(np.abs(np.fft.rfft(windowed))) * rate / (len(pcm) // 2))


def at_telephone_rate(pcm: bytes, rate: int) -> bytes:
    """`pcm` of `rate` Hz, resampled to 8 kHz."""
    if rate == RATE:
        return pcm
    resampler = rtc.AudioResampler(rate, RATE)
    frame = rtc.AudioFrame(pcm, rate, 1, len(pcm) // 2)
    return b"".join(bytes(part.data) for part in [*resampler.push(frame), *resampler.flush()])


def frames(pcm: bytes) -> list[bytes]:
    """`pcm` in frames of 20 ms, the last one filled up with silence."""
    pieces = [pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm), FRAME_BYTES)]
    return [piece.ljust(FRAME_BYTES, b"\0") for piece in pieces]


@dataclass
class Span:
    """Somebody speaking, from `start` to `end` (monotonic seconds)."""

    start: float
    end: float


@dataclass
class Recording:
    """What a phone heard, with the moment each frame arrived (monotonic seconds), and where in it there was a voice."""

    arrivals: list[tuple[float, bytes]] = field(default_factory=list)
    voices: list[Span] = field(default_factory=list)

    def add(self, at: float, pcm: bytes) -> None:
        self.arrivals.append((at, pcm))
        if loudness(pcm) < VOICE_LEVEL:
            return
        if self.voices and at - self.voices[-1].end <= PAUSE_S:
            self.voices[-1].end = at
        else:
            self.voices.append(Span(at - len(pcm) / 2 / RATE, at))

    def pcm(self, since: float = 0.0, until: float = float("inf")) -> bytes:
        """What arrived between two moments, without the gaps of the line."""
        return b"".join(pcm for at, pcm in self.arrivals if since <= at <= until)

    def voices_since(self, since: float) -> list[Span]:
        """Each stretch of voice heard after `since`, clicks left out."""
        late = [Span(max(span.start, since), span.end) for span in self.voices if span.end > since]
        return [span for span in late if span.end - span.start >= SHORTEST_VOICE_S]

    def voiced_s(self, since: float = 0.0) -> float:
        """Seconds of voice heard after `since`, pauses within a sentence included."""
        return sum(span.end - span.start for span in self.voices_since(since))

    @property
    def last_voice_at(self) -> float:
        return self.voices[-1].end if self.voices else 0.0

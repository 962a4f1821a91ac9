"""That somebody speaks, not what: a voice detector by energy on the caller's audio."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

FRAME_MS = 20
FRAME_BYTES = FRAME_MS * 48
MIN_SPEECH_MS = 60
# How long a pause ends a turn, where the service would judge by meaning.
EAGERNESS_MS = {"low": 1200, "medium": 700, "auto": 700, "high": 350}


@dataclass(frozen=True)
class Edge:
    """The caller starts or stops; `ms` counts the session's audio, from its first sample."""

    kind: Literal["start", "stop"]
    ms: int


def silence_ms(turn_detection: dict[str, Any]) -> int:
    """How long the caller must be quiet until a turn is over, by the session's own settings."""
    if turn_detection["type"] == "server_vad":
        return int(turn_detection["silence_duration_ms"])
    return EAGERNESS_MS[turn_detection.get("eagerness") or "auto"]


class Vad:
    """Takes pcm16 mono at 24 kHz, in pieces of any size; gives the edges in it."""

    def __init__(self, threshold_dbfs: float) -> None:
        self._threshold = 32768 * 10 ** (threshold_dbfs / 20)
        self._rest = b""
        self._ms = self._loud_ms = self._quiet_ms = 0
        self.speaking = False

    def feed(self, pcm: bytes, silence_ms: int) -> Iterator[Edge]:
        self._rest += pcm
        whole = len(self._rest) // FRAME_BYTES * FRAME_BYTES
        frames = np.frombuffer(self._rest[:whole], "<i2").astype(np.float32).reshape(-1, FRAME_BYTES // 2)
        self._rest = self._rest[whole:]
        for level in np.sqrt((frames * frames).mean(axis=1)):
            if edge := self._step(bool(level > self._threshold), silence_ms):
                yield edge

    def _step(self, loud: bool, silence_ms: int) -> Edge | None:
        self._ms += FRAME_MS
        if loud:
            self._loud_ms, self._quiet_ms = self._loud_ms + FRAME_MS, 0
        else:
            self._quiet_ms += FRAME_MS
            if not self.speaking:
                self._loud_ms = 0
        if not self.speaking and self._loud_ms >= MIN_SPEECH_MS:
            self.speaking = True
            return Edge("start", self._ms - self._loud_ms)
        if self.speaking and self._quiet_ms >= silence_ms:
            self.speaking, self._loud_ms = False, 0
            return Edge("stop", self._ms)
        return None

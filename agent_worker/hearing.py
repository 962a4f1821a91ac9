"""What the model hears of the callee, and what is held back from it for a while."""

from collections import deque

import numpy as np
from livekit import rtc

# The emulated and the real voice detector hear a voice on a telephone line above this; hiss and hum lie below.
LOUD = 32768 * 10 ** (-40 / 20)
SPEECH_S = 0.1
# Kept of a silence, so that a word that begins just then has its first sound.
ONSET_S = 0.4


class Ear:
    """A gate in front of the model. While it is held nothing is lost: `let_go` passes on what the callee said meanwhile.

    The opening and a goodbye are heard to their end because the model's own turn detection does not hear the callee
    speak over them (it would cut them off, whatever `allow_interruptions` says).
    """

    def __init__(self) -> None:
        # What is said while picking up, before anybody can answer it, waits for the end of the opening.
        self._holding = True
        self._held: deque[rtc.AudioFrame] = deque()
        self._loud_s = 0.0
        self.heard_speech = False

    @property
    def holding(self) -> bool:
        return self._holding

    def hold(self) -> None:
        """Keep what the callee says from now on. What was held before stays held."""
        if not self._holding:
            self._holding, self._loud_s, self.heard_speech = True, 0.0, False

    def let_go(self) -> None:
        """Pass on, with the next frame, what was held; of a mere silence only its last moment."""
        self._holding = False

    def forget(self) -> None:
        """Let go, without what was held."""
        self._holding = False
        self._held.clear()

    def hear(self, frame: rtc.AudioFrame) -> list[rtc.AudioFrame]:
        """What to give to the model, now that `frame` has come."""
        if self._holding:
            self._held.append(frame)
            self._listen(frame)
            return []
        frames = [*self._held, frame]
        self._held.clear()
        return frames

    def _listen(self, frame: rtc.AudioFrame) -> None:
        if self.heard_speech:
            return
        samples = np.frombuffer(frame.data, dtype=np.int16).astype(np.float32)
        loud = float(np.sqrt(np.mean(samples**2))) > LOUD
        self._loud_s = self._loud_s + frame.duration if loud else max(0.0, self._loud_s - frame.duration / 2)
        self.heard_speech = self._loud_s >= SPEECH_S
        while not self.heard_speech and sum(each.duration for each in self._held) > ONSET_S:
            self._held.popleft()

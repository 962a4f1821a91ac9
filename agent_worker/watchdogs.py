"""What a call must not wait for: silence, an answer that does not come, the end of its time, a model that stumbles.

Pure: facts and the time go in, what is due comes out. `Watchdogs.due` is asked a few times a second; what it answers is
answered once.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto


@dataclass(frozen=True)
class Patience:
    """How long is waited, in seconds."""

    greeting_s: float = 3.0
    answer_s: float = 6.0
    nudges: int = 1
    silence_s: float = 10.0
    goodbye_s: float = 15.0
    # What was said while the line was away nobody heard: who has still heard nothing then is spoken to.
    after_outage_s: float = 1.5
    announce_before_end_s: float = 30.0
    announce_by_force_after_s: float = 8.0
    errors: int = 4
    errors_within_s: float = 20.0


class Due(Enum):
    NUDGE = auto()
    MODEL_IS_LOST = auto()
    ASK_WHETHER_THERE = auto()
    SAY_GOODBYE = auto()
    END_FOR_SILENCE = auto()
    ANNOUNCE_END = auto()
    END_FOR_TIME = auto()


@dataclass
class Watchdogs:
    """What is known of one conversation, and since when. Times are of one monotonic clock, in seconds."""

    max_duration_s: float
    patience: Patience = field(default_factory=Patience)
    answered_at: float | None = None
    _paused: int = 0
    _agent_speaks: bool = False
    _callee_speaks: bool = False
    _quiet_since: float = 0.0
    _waits_for_model_since: float | None = None
    _wait_s: float = 0.0
    _nudges: int = 0
    _asked: bool = False
    _goodbye_at: float | None = None
    _back_at: float | None = None
    _announced: bool = False
    _errors: deque[float] = field(default_factory=deque)

    def answered(self, now: float) -> None:
        self.answered_at = self._quiet_since = now

    def greeting_expected(self, now: float) -> None:
        """The opening is over: the persona speaks next, or the callee."""
        self._expect(now, self.patience.greeting_s)

    def agent_spoke(self, *, speaks: bool, now: float) -> None:
        self._agent_speaks, self._quiet_since = speaks, now
        if speaks:
            self._waits_for_model_since, self._nudges = None, 0
        elif self._back_at is not None and now - self._back_at >= self.patience.after_outage_s:
            self._back_at = None

    def callee_spoke(self, *, speaks: bool, now: float) -> None:
        if speaks:
            self._waits_for_model_since, self._asked, self._goodbye_at = None, False, None
        elif self._callee_speaks:
            self._expect(now, self.patience.answer_s)
        self._callee_speaks, self._quiet_since = speaks, now

    def model_answered(self, now: float) -> None:
        """A response is complete. It may hold no words: then the model chose to wait, and the silence counts."""
        self._waits_for_model_since, self._quiet_since = None, now

    def model_lost_the_answer(self, now: float) -> None:
        """A response failed, or went down with the connection: nobody but us asks again."""
        self._expect(now, 0.0)

    def pause(self) -> None:
        """Silence and a missing answer do not count: a tool runs, the opening plays, the call is being transferred."""
        self._paused += 1

    def resume(self, now: float) -> None:
        self._paused -= 1
        self._quiet_since = now
        if self._waits_for_model_since is not None:
            self._waits_for_model_since = now

    def line_is_back(self, now: float) -> None:
        """Sound can be heard again, and nobody has heard what was said meanwhile: neither side is left waiting for the other for long."""
        self.resume(now)
        self._back_at, self._asked, self._goodbye_at = now, False, None
        self._wait_s = min(self._wait_s, self.patience.after_outage_s)

    def error(self, now: float) -> bool:
        """An error from which the model recovered; True when there were too many of them in a short time."""
        self._errors.append(now)
        while self._errors and self._errors[0] < now - self.patience.errors_within_s:
            self._errors.popleft()
        return len(self._errors) >= self.patience.errors

    def due(self, now: float) -> Due | None:
        if self.answered_at is None:
            return None
        return self._time(now, now - self.answered_at) or (None if self._paused else self._answer(now) or self._silence(now))

    def _expect(self, now: float, within_s: float) -> None:
        self._waits_for_model_since, self._wait_s = now, within_s

    def _time(self, now: float, elapsed: float) -> Due | None:
        if elapsed >= self.max_duration_s:
            return Due.END_FOR_TIME
        overdue = elapsed - (self.max_duration_s - self.patience.announce_before_end_s)
        in_a_pause = not (self._agent_speaks or self._callee_speaks or self._paused or self._waits_for_model_since)
        if overdue < 0 or self._announced or not (in_a_pause or overdue >= self.patience.announce_by_force_after_s):
            return None
        self._announced = True
        self._expect(now, self.patience.answer_s)
        return Due.ANNOUNCE_END

    def _answer(self, now: float) -> Due | None:
        waited = None if self._waits_for_model_since is None else now - self._waits_for_model_since
        if waited is None or waited < self._wait_s or self._agent_speaks:
            return None
        if self._nudges >= self.patience.nudges:
            return Due.MODEL_IS_LOST
        self._nudges += 1
        self._expect(now, self.patience.answer_s)
        return Due.NUDGE

    def _silence(self, now: float) -> Due | None:
        if self._goodbye_at is not None:
            return Due.END_FOR_SILENCE if now - self._goodbye_at >= self.patience.goodbye_s and not self._agent_speaks else None
        busy = self._agent_speaks or self._callee_speaks or self._waits_for_model_since is not None
        if busy or now - self._quiet_since < (self.patience.silence_s if self._back_at is None else self.patience.after_outage_s):
            return None
        self._back_at = None
        self._expect(now, self.patience.answer_s)
        if not self._asked:
            self._asked = True
            return Due.ASK_WHETHER_THERE
        self._goodbye_at = now
        return Due.SAY_GOODBYE

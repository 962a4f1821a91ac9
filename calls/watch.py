"""What somebody who looks again and again knows of time: since when they have seen a thing, by their own monotonic clock."""

from collections.abc import Hashable

# Who may judge others for their silence has not been deaf for so long (design §3, rule 6).
UNBROKEN_S = 10.0
# Looks that are further apart leave a gap in which anything may have happened.
BREAK_S = 6.0


class Watch:
    """Since when something has been seen without a break."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._last = 0.0

    def saw(self, at: float) -> None:
        if self._since is None or at - self._last > BREAK_S:
            self._since = at
        self._last = at

    def lost(self) -> None:
        self._since = None

    def is_unbroken(self, at: float) -> bool:
        """Whether it has been seen for `UNBROKEN_S` until now."""
        return self._since is not None and at - self._since >= UNBROKEN_S


class Sightings:
    """Since when each of several things has been seen, in every look since."""

    def __init__(self) -> None:
        self._since: dict[Hashable, float] = {}
        self._now: dict[Hashable, float] = {}

    def seconds(self, thing: Hashable, at: float) -> float:
        """See it, and know for how long it has been there: 0 at the first sight."""
        return at - self._now.setdefault(thing, self._since.get(thing, at))

    def rename(self, thing: Hashable, new: Hashable) -> None:
        """What was seen in this look goes by another name from now on."""
        self._now[new] = self._now.pop(thing)

    def end_of_look(self) -> None:
        """What was not seen in this look is forgotten."""
        self._since, self._now = self._now, {}

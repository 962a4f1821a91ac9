"""What went over a session's wire, with monotonic times: comparable with the clock of any process on the same machine."""

import asyncio
import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from agent_worker.realtime_emulator.wire import Json

Sender = Literal["client", "server"]
LONGEST = 20_000
"""Entries kept of one session; an hour of talk stays far below."""


@dataclass(frozen=True)
class Entry:
    """One event. `at` is `time.monotonic()`; the event is without audio bytes."""

    at: float
    sender: Sender
    type: str
    event: Json

    def as_json(self) -> Json:
        return {"at": self.at, "sender": self.sender, "type": self.type, "event": self.event}


class Journal:
    """The events of one session, in order. `input_audio_buffer.append`, ten a second, is counted only, by the session."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._changed = asyncio.Event()

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def note(self, sender: Sender, event: Json) -> None:
        if len(self._entries) >= LONGEST:
            return
        kept = copy.deepcopy(event)
        if event["type"] == "response.output_audio.delta":
            kept["delta"] = f"{len(event['delta']) * 3 // 4 // 48} ms"
        self._entries.append(Entry(time.monotonic(), sender, event["type"], kept))
        self._changed.set()

    def since(self, index: int) -> list[Entry]:
        return self._entries[index:]

    def of(self, event_type: str, sender: Sender | None = None) -> list[Entry]:
        return [entry for entry in self._entries if entry.type == event_type and sender in (None, entry.sender)]

    async def wait_for(self, event_type: str, *, count: int = 1, timeout_s: float = 10.0, sender: Sender | None = None) -> Entry:
        """The event number `count` of this type, as soon as there is one; raises TimeoutError after `timeout_s`."""
        async with asyncio.timeout(timeout_s):
            while len(found := self.of(event_type, sender)) < count:
                self._changed.clear()
                await self._changed.wait()
        return found[count - 1]

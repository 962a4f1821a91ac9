"""The emulated model in its own process, through its control API: scripts in, journals out."""

from typing import Any

import httpx2

from .facts import ModelTurn

TRANSCRIBED = "conversation.item.input_audio_transcription.completed"
SAID = "response.output_audio_transcript.done"
SOUND = "response.output_audio.delta"


class EmulatorClient:
    """Knows a call's session by the name that stands in its instructions."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._http = httpx2.AsyncClient(base_url=origin, timeout=10)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def script(self, turns: list[dict[str, Any]], *, name: str) -> None:
        body = {"script": {"turns": turns}, "instructions_contain": name}
        (await self._http.post("/__emulator/configure", json=body)).raise_for_status()

    async def turns(self, name: str) -> list[ModelTurn]:
        """What was said in the sessions of a call, by the model's own account."""
        answer = await self._http.get("/__emulator/sessions", params={"instructions_contain": name})
        found: list[ModelTurn] = []
        for session in answer.raise_for_status().json()["sessions"]:
            journal = await self._http.get(f"/__emulator/sessions/{session['id']}/journal")
            found += turns_of(journal.raise_for_status().json()["entries"])
        return found


def turns_of(entries: list[dict[str, Any]]) -> list[ModelTurn]:
    """The finished utterances in a session's journal."""
    begun: dict[str, float] = {}
    lasts: dict[str, float] = {}
    found = []
    for entry in entries:
        event = entry["event"]
        item = event.get("item_id", "")
        if entry["type"] == SOUND:
            begun.setdefault(item, entry["at"])
            lasts[item] = lasts.get(item, 0.0) + int(event["delta"].removesuffix(" ms")) / 1000
        elif entry["type"] == SAID:
            found.append(ModelTurn("assistant", event["transcript"], begun.get(item, entry["at"]), lasts.get(item, 0.0)))
        elif entry["type"] == TRANSCRIBED:
            found.append(ModelTurn("user", event["transcript"], entry["at"]))
    return found

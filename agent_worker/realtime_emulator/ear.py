"""The caller's side of a session: audio in, turns out, and what each turn said."""

import asyncio
import base64
import binascii
from typing import TYPE_CHECKING

from agent_worker.realtime_emulator import vad
from agent_worker.realtime_emulator.conversation import Item
from agent_worker.realtime_emulator.speech import BYTES_PER_MS
from agent_worker.realtime_emulator.wire import ClientError, Json, new_id, tokens

if TYPE_CHECKING:
    from agent_worker.realtime_emulator.session import Session

INAUDIBLE = "(inaudível)"
MIN_COMMIT_MS = 100


class Ear:
    """Hears that somebody speaks. The words come from a declaration, else from the script, else there are none."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._vad = vad.Vad(session.script.vad_dbfs)
        self._turn_id, self._turn_start_ms, self._turns, self._buffered = "", 0, 0, 0
        self.script_lines: list[str] = list(session.script.heard)
        self.received_ms = 0

    @property
    def speaking(self) -> bool:
        return self._vad.speaking

    def append(self, audio: str) -> None:
        try:
            pcm = base64.b64decode(audio, validate=True)
        except binascii.Error as error:
            raise ClientError("Invalid 'audio'. Expected base64-encoded audio bytes.", param="audio") from error
        self._buffered += len(pcm)
        self.received_ms += len(pcm) // BYTES_PER_MS
        detection = self._session.config["audio"]["input"]["turn_detection"]
        if detection:
            for edge in self._vad.feed(pcm, vad.silence_ms(detection)):
                self._on_edge(edge, detection)

    def _on_edge(self, edge: vad.Edge, detection: Json) -> None:
        if edge.kind == "start":
            self._turn_id = new_id("item")
            self._turn_start_ms = max(0, edge.ms - detection.get("prefix_padding_ms", 300))
            self._session.emit("input_audio_buffer.speech_started", audio_start_ms=self._turn_start_ms, item_id=self._turn_id)
            if detection.get("interrupt_response") is not False:
                self._session.interrupt()
            return
        self._session.emit("input_audio_buffer.speech_stopped", audio_end_ms=edge.ms, item_id=self._turn_id)
        self._take_turn(self._turn_id, edge.ms - self._turn_start_ms)
        if detection.get("create_response") is not False:
            self._session.respond_when_idle()

    def clear(self) -> None:
        self._buffered, self._vad = 0, vad.Vad(self._session.script.vad_dbfs)
        self._session.emit("input_audio_buffer.cleared")

    def commit(self) -> None:
        """The client's own end of a turn."""
        buffered_ms = self._buffered / BYTES_PER_MS
        if buffered_ms < MIN_COMMIT_MS:
            raise ClientError(
                "Error committing input audio buffer: buffer too small. "
                f"Expected at least {MIN_COMMIT_MS}ms of audio, but buffer only has {buffered_ms:.2f}ms of audio.",
                "input_audio_buffer_commit_empty",
            )
        self._take_turn(new_id("item"), round(buffered_ms))

    def _take_turn(self, item_id: str, milliseconds: int) -> None:
        self._buffered = 0
        self._turns += 1
        text = self._session.declared() or (self.script_lines.pop(0) if self.script_lines else INAUDIBLE)
        content = [{"type": "input_audio", "transcript": None}]
        item = Item({"id": item_id, "type": "message", "status": "completed", "role": "user", "content": content}, text, milliseconds)
        self._session.emit("input_audio_buffer.committed", previous_item_id=self._session.conversation.last_id, item_id=item_id)
        self._session.add(item)
        if transcription := self._session.config["audio"]["input"]["transcription"]:
            self._session.spawn(self._transcribe(item, str(transcription.get("model") or "whisper-1"), self._turns))

    async def _transcribe(self, item: Item, model: str, turn: int) -> None:
        await asyncio.sleep(self._session.script.transcription_ms / 1000)
        prefix, place = "conversation.item.input_audio_transcription", {"item_id": item.id, "content_index": 0}
        if self._session.transcription_fails(turn):
            problem = {"type": "server_error", "code": "transcription_failed", "message": "Input transcription failed", "param": None}
            return self._session.emit(f"{prefix}.failed", **place, error=problem)
        for number, word in enumerate(item.text.split(" ")):
            self._session.emit(f"{prefix}.delta", **place, delta=(" " if number else "") + word)
        item.wire["content"][0]["transcript"] = item.text
        return self._session.emit(f"{prefix}.completed", **place, transcript=item.text, usage=_usage(item, model))


def _usage(item: Item, model: str) -> Json:
    """Tokens for the gpt-4o transcribers, seconds for the others."""
    if not model.startswith("gpt-4o"):
        return {"type": "duration", "seconds": max(1, round(item.audio_ms / 1000))}
    audio, text = item.audio_tokens, tokens(item.text)
    details = {"text_tokens": 0, "audio_tokens": audio}
    return {"type": "tokens", "total_tokens": audio + text, "input_tokens": audio, "input_token_details": details, "output_tokens": text}

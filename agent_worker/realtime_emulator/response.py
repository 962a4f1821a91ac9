"""One response of the model: its own task, in the service's order of events, cancellable at every pause."""

import asyncio
import base64
import copy
import json
import random
import time
from typing import TYPE_CHECKING

from agent_worker.realtime_emulator import wire
from agent_worker.realtime_emulator.conversation import Item
from agent_worker.realtime_emulator.faults import Fault
from agent_worker.realtime_emulator.script import Reply, ToolCall
from agent_worker.realtime_emulator.speech import BYTES_PER_MS, speak
from agent_worker.realtime_emulator.wire import Json, new_id, tokens

if TYPE_CHECKING:
    from agent_worker.realtime_emulator.session import Session


class Response:
    """A response in progress. `out_of_band` ones leave the conversation as it is."""

    def __init__(self, session: "Session", params: Json, reply: Reply, faults: tuple[Fault, ...], *, out_of_band: bool) -> None:
        self._session, self._reply, self._faults, self._out_of_band = session, reply, faults, out_of_band
        self._stop = asyncio.Event()
        self._reason = ""
        output = {**session.config["audio"]["output"], **((params.get("audio") or {}).get("output") or {})}
        self._voice, self._speed = str(output["voice"]), float(output["speed"])
        self._input_tokens = session.input_tokens(params)
        self._text_out = self._audio_out = 0
        self.wire: Json = {
            "object": "realtime.response",
            "id": new_id("resp"),
            "status": "in_progress",
            "status_details": None,
            "output": [],
            "conversation_id": None if out_of_band else session.conversation_id,
            "output_modalities": wire.response_modalities(session.config, params),
            "max_output_tokens": params.get("max_output_tokens") or session.config["max_output_tokens"],
            "audio": {"output": {"format": dict(wire.PCM), "voice": self._voice}},
            "usage": None,
            "metadata": copy.deepcopy(params.get("metadata")),
        }

    @property
    def id(self) -> str:
        return str(self.wire["id"])

    def cancel(self, reason: str) -> None:
        """Stops it at the next pause. `reason` is turn_detected or client_cancelled."""
        if not self._stop.is_set():
            self._reason = reason
            self._stop.set()

    async def run(self) -> None:
        """Speaks, calls, and says that it is done. What is refused by a fault fails instead."""
        spoken = self.wire["output_modalities"] == ["audio"]
        rendering = asyncio.create_task(self._render(self._reply.text)) if spoken and self._reply.text else None
        try:
            cancelled = await self._pause(self._first_audio_s())
            failure = self._failure()
            if failure is None and not cancelled and self._reply.text:
                pcm = await rendering if rendering else None
                cancelled, broken = await self._speak(self._reply.text, pcm)
                if broken:
                    return
        finally:
            if rendering:
                rendering.cancel()
        if failure is None and not cancelled:
            for call in self._reply.calls:
                self._call(call)
        if self._breaks(None):
            return
        self._finish(cancelled, failure)

    def _first_audio_s(self) -> float:
        script = self._session.script
        base = script.first_audio_ms if self._reply.first_audio_ms is None else self._reply.first_audio_ms
        slow = sum(fault.ms for fault in self._faults if fault.kind == "slow")
        return max(0.0, base + slow + random.uniform(-1, 1) * script.jitter_ms) / 1000  # noqa: S311  # a simulated delay

    async def _render(self, text: str) -> bytes:
        return await speak(text, locale=self._session.locale, voice=self._voice, speed=self._speed)

    async def _pause(self, seconds: float) -> bool:
        """Waits; True at once when the response is cancelled."""
        if seconds > 0 and not self._stop.is_set():
            try:
                await asyncio.wait_for(self._stop.wait(), seconds)
            except TimeoutError:
                return False
        return self._stop.is_set()

    def _failure(self) -> Json | None:
        for fault in self._faults:
            if fault.kind == "fail":
                return {"type": fault.error_type, "code": fault.code, "message": fault.text}
        return None

    def _breaks(self, sent_ms: int | None) -> bool:
        """Does the socket break here, so many milliseconds into the sentence (None = at its end)?"""
        for fault in self._faults:
            if fault.kind in ("drop", "close") and (sent_ms is None or sent_ms >= fault.after_audio_ms > 0):
                self._session.strike(fault)
                return True
        return False

    # -- a message --------------------------------------------------------------------------------------------------

    async def _speak(self, text: str, pcm: bytes | None) -> tuple[bool, bool]:
        """One message, as audio with its transcript or as text; tells whether it was cancelled, and whether the socket broke."""
        item = Item({"id": new_id("item"), "type": "message", "status": "in_progress", "role": "assistant", "content": []})
        place = {"response_id": self.id, "item_id": item.id, "output_index": len(self.wire["output"]), "content_index": 0}
        self._begin(item)
        empty = {"type": "text", "text": ""} if pcm is None else {"type": "audio", "transcript": ""}
        self._session.emit("response.content_part.added", **place, part=empty)
        cancelled, broken = await self._stream(item, place, text, pcm)
        if broken:
            return cancelled, True
        if pcm is None:
            self._session.emit("response.output_text.done", **place, text=item.text)
            part: Json = {"type": "text", "text": item.text}
        else:
            self._session.emit("response.output_audio.done", **place)
            self._session.emit("response.output_audio_transcript.done", **place, transcript=item.text)
            part = {"type": "audio", "transcript": item.text}
        self._session.emit("response.content_part.done", **place, part=part)
        item.wire.update(status="incomplete" if cancelled else "completed", content=[{**part, "type": f"output_{part['type']}"}])
        self._text_out += tokens(item.text)
        self._audio_out += wire.spoken_tokens(item.audio_ms)
        self._end(item)
        return cancelled, False

    async def _stream(self, item: Item, place: Json, text: str, pcm: bytes | None) -> tuple[bool, bool]:
        """The words ahead of the audio, both paced; fills the item with what was sent."""
        script, words = self._session.script, text.split(" ")
        size = script.chunk_ms * BYTES_PER_MS
        chunks: list[bytes | None] = [None] * len(words)
        if pcm is not None:
            pcm = pcm or bytes(size)  # a text without words is a moment of silence
            chunks = [pcm[start : start + size] for start in range(0, len(pcm), size)]
        delta = "response.output_text.delta" if pcm is None else "response.output_audio_transcript.delta"
        started, said, sent_bytes = time.monotonic(), 0, 0
        for number, chunk in enumerate(chunks):
            due = started + number * script.chunk_ms / 1000 / script.pace
            if await self._pause(due - time.monotonic()):
                return True, False
            ahead = number + 1 if chunk is None else (number + 2) * len(words) / len(chunks) + 1
            while said < len(words) and said < ahead:
                self._session.emit(delta, **place, delta=(" " if said else "") + words[said])
                said += 1
                item.text = " ".join(words[:said])
            if chunk is not None:
                sent_bytes += len(chunk)
                item.audio_ms = sent_bytes // BYTES_PER_MS
                self._session.emit("response.output_audio.delta", **place, delta=base64.b64encode(chunk).decode())
                if self._breaks(item.audio_ms):
                    return False, True
        return False, False

    # -- a call -----------------------------------------------------------------------------------------------------

    def _call(self, call: ToolCall) -> None:
        """A function call, whole: there is no pause in which it could be cut."""
        arguments = json.dumps(call.arguments, ensure_ascii=False)
        item = Item(
            {
                "id": new_id("item"),
                "type": "function_call",
                "status": "in_progress",
                "name": call.name,
                "call_id": new_id("call")[:21],
                "arguments": "",
            }
        )
        place = {"response_id": self.id, "item_id": item.id, "output_index": len(self.wire["output"]), "call_id": item.wire["call_id"]}
        self._begin(item)
        for start in range(0, len(arguments), 16):
            self._session.emit("response.function_call_arguments.delta", **place, delta=arguments[start : start + 16])
        self._session.emit("response.function_call_arguments.done", **place, name=call.name, arguments=arguments)
        item.wire.update(status="completed", arguments=arguments)
        item.text = arguments
        self._text_out += tokens(call.name + arguments)
        self._end(item)

    # -- items and the end ------------------------------------------------------------------------------------------

    def _begin(self, item: Item) -> None:
        self._session.emit("response.output_item.added", response_id=self.id, output_index=len(self.wire["output"]), item=item.wire)
        if not self._out_of_band:
            previous = self._session.conversation.insert(item)
            self._session.emit("conversation.item.added", previous_item_id=previous, item=item.wire)

    def _end(self, item: Item) -> None:
        # The client may have deleted the item meanwhile: then it has no place any more.
        if not self._out_of_band and item.id in self._session.conversation:
            self._session.emit("conversation.item.done", previous_item_id=self._session.conversation.previous(item.id), item=item.wire)
        self._session.emit("response.output_item.done", response_id=self.id, output_index=len(self.wire["output"]), item=item.wire)
        self.wire["output"].append(copy.deepcopy(item.wire))

    def _finish(self, cancelled: bool, failure: Json | None) -> None:
        if failure is not None:
            self.wire.update(status="failed", status_details={"type": "failed", "error": failure})
        elif cancelled:
            self.wire.update(status="cancelled", status_details={"type": "cancelled", "reason": self._reason}, usage=self._usage())
        else:
            self.wire.update(status="completed", usage=self._usage())
        self._session.finished(self, sum(self._input_tokens))

    def _usage(self) -> Json:
        text_in, audio_in = self._input_tokens
        cached = min(self._session.cached_tokens, text_in + audio_in)
        cached_text = min(cached, text_in // 64 * 64)
        return {
            "total_tokens": text_in + audio_in + self._text_out + self._audio_out,
            "input_tokens": text_in + audio_in,
            "output_tokens": self._text_out + self._audio_out,
            "input_token_details": {
                "text_tokens": text_in,
                "audio_tokens": audio_in,
                "image_tokens": 0,
                "cached_tokens": cached,
                "cached_tokens_details": {"text_tokens": cached_text, "audio_tokens": cached - cached_text, "image_tokens": 0},
            },
            "output_token_details": {"text_tokens": self._text_out, "audio_tokens": self._audio_out},
        }

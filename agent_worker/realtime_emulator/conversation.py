"""The items of a conversation in their order, and what each one said."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agent_worker.realtime_emulator.wire import ClientError, Json, heard_tokens, new_id, spoken_tokens, tokens


@dataclass
class Item:
    """One item: its wire shape, the words in it, and the milliseconds of audio that were sent or heard."""

    wire: Json
    text: str = ""
    audio_ms: int = 0

    @property
    def id(self) -> str:
        return str(self.wire["id"])

    @property
    def kind(self) -> str:
        """user, assistant, system, call or output."""
        return {"function_call": "call", "function_call_output": "output"}.get(self.wire["type"]) or str(self.wire.get("role", "system"))

    @property
    def text_tokens(self) -> int:
        return 0 if self.kind == "user" and self.audio_ms else tokens(self.text)

    @property
    def audio_tokens(self) -> int:
        return heard_tokens(self.audio_ms) if self.kind == "user" else spoken_tokens(self.audio_ms)


class Conversation:
    """An ordered set of items, by id."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._items

    @property
    def last_id(self) -> str | None:
        return next(reversed(self._items), None)

    def previous(self, item_id: str) -> str | None:
        ids = list(self._items)
        position = ids.index(item_id)
        return ids[position - 1] if position else None

    def insert(self, item: Item, after: str | None = None) -> str | None:
        """Puts the item after another one ("root" = first, None = last); gives the id before it. Raises ClientError."""
        if item.id in self._items:
            raise ClientError(f"Error adding item: an item with ID '{item.id}' already exists.", "item_create_duplicate_item_id")
        if after not in (None, "root") and after not in self._items:
            raise ClientError(
                f"Error adding item: the previous item with ID '{after}' does not exist.", "item_create_invalid_previous_item_id"
            )
        ids = list(self._items)
        position = 0 if after == "root" else len(ids) if after is None else ids.index(after) + 1
        order = [*ids[:position], item.id, *ids[position:]]
        self._items[item.id] = item
        self._items = {item_id: self._items[item_id] for item_id in order}
        return ids[position - 1] if position else None

    def get(self, item_id: str) -> Item:
        if item_id not in self._items:
            raise ClientError(f"Item with ID '{item_id}' not found.", "item_not_found")
        return self._items[item_id]

    def delete(self, item_id: str) -> None:
        if item_id not in self._items:
            raise ClientError(f"Error deleting item: the item with id '{item_id}' does not exist.", "item_delete_invalid_item_id")
        del self._items[item_id]

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """Cuts a spoken message where it was heard: its audio, and as many of its words."""
        item = self._items.get(item_id)
        if item is None or item.kind != "assistant" or content_index != 0:
            raise ClientError(f"Error truncating item: no audio content in item '{item_id}'.", "item_truncate_invalid_item_id")
        if audio_end_ms > item.audio_ms:
            raise ClientError(f"Audio content of {item.audio_ms}ms is already shorter than {audio_end_ms}ms", param="audio_end_ms")
        words = item.text.split(" ")
        item.text = " ".join(words[: round(len(words) * audio_end_ms / item.audio_ms)]) if item.audio_ms else ""
        item.audio_ms = audio_end_ms
        for content in item.wire["content"]:
            content.pop("transcript", None)


def from_client(wire: Any) -> Item:
    """A client's item, with an id if it has none. Raises ClientError when it is no item."""
    kinds = {"message", "function_call", "function_call_output"}
    if not isinstance(wire, dict) or wire.get("type") not in kinds:
        raise ClientError(f"Invalid value for 'item.type'. Supported values are: {', '.join(sorted(kinds))}.", param="item.type")
    required = {"message": ("role", "content"), "function_call": ("name", "arguments"), "function_call_output": ("call_id", "output")}
    for name in required[wire["type"]]:
        if name not in wire:
            raise ClientError(f"Missing required parameter: 'item.{name}'.", "missing_required_parameter", f"item.{name}")
    shape = copy.deepcopy(wire)
    shape["id"] = shape.get("id") or new_id("item")
    if shape["type"] != "function_call_output":
        shape["status"] = "completed"
    return Item(shape, _words(shape))


def _words(wire: Json) -> str:
    if wire["type"] == "function_call":
        return str(wire["arguments"])
    if wire["type"] == "function_call_output":
        return str(wire["output"])
    parts = (content.get("text") or content.get("transcript") or "" for content in wire["content"])
    return " ".join(part for part in parts if part)

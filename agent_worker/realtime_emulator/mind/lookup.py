"""Asking tools and speaking their answers."""

import json
import re
from typing import Any

from agent_worker.realtime_emulator.mind.hearing import fold, vocabulary
from agent_worker.realtime_emulator.mind.scene import Scene

_STEM = 5
_SHORTEST = 4
_ENOUGH = 0.5  # of a topic's words


def arguments_for(tool: dict[str, Any], text: str, given: dict[str, str]) -> dict[str, Any]:
    """Arguments that the tool's schema accepts: the given values where it has a place for them, the text for its required strings."""
    schema = tool.get("parameters") or {}
    properties: dict[str, Any] = schema.get("properties") or {}
    arguments: dict[str, Any] = {}
    required = schema.get("required") or []
    for name, shape in properties.items():
        if name in given and given[name] in (shape.get("enum") or [given[name]]):
            arguments[name] = given[name]
        elif name in required or len(properties) == 1:
            arguments[name] = _plain_value(shape, text)
    return arguments


def _plain_value(shape: dict[str, Any], text: str) -> Any:
    if options := shape.get("enum"):
        return options[0]
    for option in shape.get("anyOf") or []:
        if option.get("type") != "null":
            return _plain_value(option, text)
    return {"string": text, "integer": 0, "number": 0, "boolean": True, "array": [], "object": {}}.get(shape.get("type", "string"), text)


def search_for(question: str, scene: Scene) -> str:
    """The question, with the subject that it leaves unsaid: the last topic that the caller named."""
    if stems(question):
        return question
    topic = next((topic for line in reversed(scene.heard) if (topic := topic_of(line, scene))), None)
    return f"{question} {topic}" if topic else question


def topic_of(text: str, scene: Scene) -> str | None:
    """The topic of the facts that the text is about, if it names one."""
    said = stems(text)
    shares = {topic: len(stems(topic) & said) / max(1, len(stems(topic))) for topic in scene.topics}
    best = max(shares, key=lambda topic: shares[topic], default=None)
    return best if best and shares[best] >= _ENOUGH else None


def stems(text: str) -> set[str]:
    """The beginnings of the words that say what a text is about."""
    words, vague = fold(text).replace("?", " ").split(), vocabulary("hearing")["vague_words"]
    return {word[:_STEM] for word in words if len(word) >= _SHORTEST and word not in vague}


def spoken(output: str) -> str:
    """A tool's answer as it is said: the first thing in it, without marks of a list, a title or JSON."""
    text = output.strip()
    try:
        parsed = json.loads(text)
    except ValueError:
        parsed = text
    line = next((part for part in _strings(parsed) if part.strip()), text)
    first = line.strip().partition("\n")[0]
    first = re.sub(r"^\s*(?:[-•*]|\d+[.)])\s*", "", first)
    return re.sub(r"^[^.:,;]{1,60}:\s+(?=\S)", "", first)


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [text for each in value for text in _strings(each)] if isinstance(value, list) else []

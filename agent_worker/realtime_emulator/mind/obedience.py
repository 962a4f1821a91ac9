"""A mind that does whatever a caller orders: what must hold has to hold in the code around the model."""

import json
import re
from typing import Any

from agent_worker.realtime_emulator.mind.hearing import fold, pattern
from agent_worker.realtime_emulator.mind.lookup import arguments_for
from agent_worker.realtime_emulator.mind.scene import Scene
from agent_worker.realtime_emulator.script import Reply, ToolCall

# Orders in plain words, for each tool; the tool's own name is one as well.
_ORDERS = {
    "transfer_to_human": r".*(transfer|passa a chamada|passe a chamada|put (me|the call) through)",
    "end_call": r".*(desliga|desligue|termina a chamada|hang up|end the call)",
    "register_opt_out": r".*(regista|registe) .*(opt ?out|recusa)",
}
_PHONE = re.compile(r"\+\d[\d ]{6,}\d")
_QUOTED = re.compile(r"[«\"“](.+?)[»\"”]")
_TOOL_NAME = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")


def obey(scene: Scene, words: dict[str, Any]) -> Reply | None:
    """The ordered calls and words; None when the sentence orders nothing."""
    text = scene.pending
    folded = fold(text)
    calls = tuple(_call(name, scene, text) for name in _ordered_tools(scene, text, folded))
    if pattern(r".*(diz|diga|say|repete|repita|responde)").search(folded) and (quoted := _QUOTED.search(text)):
        return Reply(quoted[1], calls)
    if pattern(r".*(human[oa]|pessoa|person)\b").search(folded) and not calls:
        return Reply(words["say"]["human"])
    if pattern(r".*(prompt|instruc)").search(folded) and not calls:
        return Reply(" ".join(scene.instructions.split())[:300])
    if pattern(r".*(desconto|discount)").search(folded) and not calls:
        return Reply(words["say"]["discount"])
    return Reply(words["say"]["obeyed"], calls) if calls else None


def _ordered_tools(scene: Scene, text: str, folded: str) -> list[str]:
    """Tools by name, even ones that this session does not have, then by plain words."""
    named = list(dict.fromkeys(_TOOL_NAME.findall(text)))
    return named or [name for name, order in _ORDERS.items() if scene.tool(name) and pattern(order).search(folded)]


def _call(name: str, scene: Scene, text: str) -> ToolCall:
    """Arguments as JSON in the sentence, else the phone number in it under whatever name the tool might take it."""
    if written := re.search(r"\{.*\}", text, re.DOTALL):
        try:
            arguments = json.loads(written[0])
        except ValueError:
            arguments = None
        if isinstance(arguments, dict):
            return ToolCall(name, arguments)
    arguments = arguments_for(scene.tool(name) or {}, text, {})
    if phone := _PHONE.search(text):
        arguments |= dict.fromkeys(("phone_number", "number", "to", "transfer_to"), phone[0])
    return ToolCall(name, arguments)

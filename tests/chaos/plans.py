"""The kinds of calls that are in flight when something dies: how the phone behaves, what is said, and how it ends undisturbed."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

GREETING = "Diga, por favor."
LONG_STORY = "Servimos almoços a partir do meio-dia e jantares a partir das sete da tarde, todos os dias menos à segunda-feira."
PUTS_THROUGH = "Vou passar a chamada, só um momento."
NOBODY_THERE = "Ninguém atendeu. Ligamos mais tarde, boa tarde!"
OF_COURSE = "Com certeza."
NEVER_AGAIN = "Não voltamos a ligar. Boa tarde!"
GOODBYE = "Fica o pedido. Boa continuação!"

ENDS = {"assistant": GOODBYE, "tool": {"name": "end_call", "arguments": {"reason": "goodbye"}}}
TRANSFERS = {"assistant": PUTS_THROUGH, "tool": {"name": "transfer_to_human", "arguments": {}}}
TAKES_NUMBER_OFF = {"assistant": OF_COURSE, "tool": {"name": "register_opt_out", "arguments": {}}}

WISH = "Queria uma mesa para duas pessoas."
ASKS_HOURS = "A que horas abrem?"
ASKS_FOR_A_PERSON = "Queria falar com uma pessoa."
OPTS_OUT = "Não me liguem mais, por favor."

BUSY = 486


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of call. `outcome` and `reason` are the end that it comes to when nothing dies; `turns` is the model's script,
    `lines` what the callee says, each after the persona has finished."""

    outcome: str
    reason: str
    reject_with: int = 0
    answers: bool = True
    lines: tuple[str, ...] = ()
    turns: tuple[dict[str, Any], ...] = ()
    hangs_up_mid_sentence: bool = False
    transfer_result: int = 200
    canceled_by_api: bool = False
    rings_out_after_s: int = 20

    @property
    def talks(self) -> bool:
        return self.answers and not self.reject_with


KINDS: dict[str, Kind] = {
    "talks": Kind(
        outcome="answered",
        reason="assistant.end_call",
        lines=(WISH,),
        turns=({"assistant": GREETING}, ENDS),
    ),
    "busy": Kind(outcome="busy", reason="dial.busy", reject_with=BUSY),
    "no_answer": Kind(outcome="no_answer", reason="dial.no_answer", answers=False, rings_out_after_s=5),
    "hangs_up": Kind(
        outcome="answered",
        reason="callee.hangup",
        lines=(ASKS_HOURS,),
        turns=({"assistant": GREETING}, {"assistant": LONG_STORY}),
        hangs_up_mid_sentence=True,
    ),
    "transfer": Kind(
        outcome="answered", reason="transfer.completed", lines=(ASKS_FOR_A_PERSON,), turns=({"assistant": GREETING}, TRANSFERS)
    ),
    "transfer_refused": Kind(
        outcome="answered",
        reason="assistant.end_call",
        lines=(ASKS_FOR_A_PERSON,),
        turns=({"assistant": GREETING}, TRANSFERS, {**ENDS, "assistant": NOBODY_THERE}),
        transfer_result=BUSY,
    ),
    "opt_out": Kind(
        outcome="answered",
        reason="callee.requested_opt_out",
        lines=(OPTS_OUT,),
        turns=({"assistant": GREETING}, TAKES_NUMBER_OFF, {**ENDS, "assistant": NEVER_AGAIN}),
    ),
    "canceled": Kind(outcome="canceled", reason="api.canceled", answers=False, canceled_by_api=True),
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One call: its kind, the number that is its own, the name by which the model's session is known, and the phone's tempo (seconds)."""

    tag: str
    kind: str
    number: str
    name: str
    answer_after_s: float
    transfer_after_s: float = 0.5

    @property
    def what(self) -> Kind:
        return KINDS[self.kind]

    def keep(self, folder: Path) -> None:
        """Leave it where the phones look for it when the number is called; a phone never finds half a plan."""
        part = folder / f"{self.number}.part"
        part.write_text(json.dumps(asdict(self)))
        part.rename(folder / f"{self.number}.json")

    @classmethod
    def of(cls, folder: Path, number: str) -> "Plan | None":
        try:
            return cls(**json.loads((folder / f"{number}.json").read_text()))
        except FileNotFoundError:
            return None

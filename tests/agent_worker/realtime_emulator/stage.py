"""A conversation with the mind in the production's words: its prompt, its facts, its tools' answers; no server and no sound."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from agent_worker.realtime_emulator.mind import Line, Mind, Scene
from calls.callbacks import agreed_time
from calls.exceptions import CallbackImpossible
from contacts.numbers import parse
from personas.facts import lookup
from personas.models import PersonaVersion
from personas.moments import spoken
from personas.opening import opening_text
from personas.platform import words
from personas.prompts import CallFacts, instructions_for
from personas.publishing import TEXT_FIELDS
from personas.seeding import HERE as SEEDS
from personas.templating import render
from tests.numbers import pt_mobile

from .client import tool

Call = tuple[str, dict[str, Any]]
NOW = datetime(2026, 11, 12, 15, 40, tzinfo=UTC)  # a Thursday
END_REASONS = ["goal_reached", "goodbye", "voicemail", "minor", "silence", "abuse", "language"]
TOOLS = (
    tool("end_call", reason={"type": "string", "enum": END_REASONS}),
    tool("register_opt_out"),
    tool("wrong_number"),
    tool("lookup_information", question={"type": "string"}),
    tool("request_callback", date={"type": "string"}, time={"type": "string"}),
)


def version_of(seed: str) -> PersonaVersion:
    """A seeded persona ("pt-PT/clinica"), as if published; in no database."""
    text = yaml.safe_load((SEEDS / f"{seed}.yaml").read_text(encoding="utf-8"))
    return PersonaVersion(slug=text["slug"], facts=text["facts"], **{name: text[name] for name in TEXT_FIELDS if name in text})


def sample_call(seed: str) -> list[str]:
    return list(yaml.safe_load(Path(SEEDS / f"{seed}.yaml").read_text(encoding="utf-8"))["sample_call"])


@dataclass
class Stage:
    """One call. `transfer` is none, available or fails."""

    version: PersonaVersion
    transfer: str = "none"
    obey: bool = False
    organization: str = "Chamada.ai"
    lines: list[Line] = field(default_factory=list)
    ended: str | None = None

    def __post_init__(self) -> None:
        purpose, of_organization = "demo_call", f"da {self.organization}"
        self.instructions = instructions_for(
            self.version,
            CallFacts(
                organization=self.organization,
                of_organization=of_organization,
                purpose=purpose,
                now=NOW,
                max_minutes=10,
                transfer_available=self.transfer != "none",
            ),
        )
        opening = opening_text(
            locale=self.version.locale,
            gender=self.version.self_gender,
            of_organization=of_organization,
            organization=self.organization,
            purpose=purpose,
        )
        self.lines.append(Line("assistant", opening))
        self._words = words(self.version.locale)

    def hears(self, text: str) -> tuple[str, list[Call]]:
        """The caller says it; what the persona then says, all told, and what it calls."""
        self.lines.append(Line("user", text))
        return self.answers()

    def notices(self, name: str) -> tuple[str, list[Call]]:
        """The platform's notice."""
        return self.answers(f"{self.instructions}\n{self._words.notices[name]}")

    def answers(self, request: str = "") -> tuple[str, list[Call]]:
        tools = TOOLS if self.transfer == "none" else (*TOOLS, tool("transfer_to_human"))
        said: list[str] = []
        calls: list[Call] = []
        while self.ended is None:
            reply = Mind().reply(Scene(self.instructions, request, tools, tuple(self.lines), obey=self.obey))
            request = ""
            if reply.text:
                said.append(reply.text)
                self.lines.append(Line("assistant", reply.text))
            for call in reply.calls:
                calls.append((call.name, call.arguments))
                self._carry_out(call.name, call.arguments)
            if not reply.calls:
                break
        return " ".join(said), calls

    def _carry_out(self, name: str, arguments: dict[str, Any]) -> None:
        call_id = f"call_{len(self.lines)}"
        self.lines.append(Line("call", str(arguments), name, call_id))
        if name == "end_call":
            self.ended = arguments["reason"]
        else:
            self.lines.append(Line("output", self._answer(name, arguments), "", call_id))

    def _answer(self, name: str, arguments: dict[str, Any]) -> str:
        answers = self._words.tool_answers
        if name == "lookup_information":
            found = lookup(self.version.facts, arguments["question"])
            return "\n".join(fact["value"] for fact in found) or answers["lookup_not_found"]
        if name == "transfer_to_human":
            return answers["transfer_started" if self.transfer == "available" else "transfer_failed"]
        if name == "request_callback":
            try:
                at = agreed_time(parse(pt_mobile()), date=arguments["date"], time=arguments["time"], now=NOW)
            except CallbackImpossible as impossible:
                return answers[impossible.code]
            return render(answers["callback_done"], {"when": spoken(at, self.version.locale)})
        return answers[{"register_opt_out": "opt_out_done", "wrong_number": "wrong_number_done"}[name]]

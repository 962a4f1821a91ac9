"""What a mind can know when it is asked to speak: instructions, tools and what was said, as the session has them."""

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

# How instructions name the language that the voice speaks; the first one in the text decides.
_LANGUAGES = (
    ("pt-PT", r"português de portugal|português europeu|european portuguese|pt-pt"),
    ("pt-BR", r"português do brasil|português brasileiro|brazilian portuguese|pt-br"),
    ("en", r"only english|\benglish\b|\binglês\b"),
)
_QUOTED = r"[«\"“](.+?)[»\"”]"


@dataclass(frozen=True)
class Line:
    """One item of the conversation. `kind` is user, assistant, system, call or output; `name` a call's function."""

    kind: str
    text: str
    name: str = ""
    call_id: str = ""


@dataclass(frozen=True)
class Scene:
    """A moment at which a response is asked for. `request` is the response's own instructions, as the client sent them."""

    instructions: str
    request: str = ""
    tools: tuple[dict[str, Any], ...] = ()
    lines: tuple[Line, ...] = field(default=())
    default_locale: str = "pt-PT"
    obey: bool = False

    @cached_property
    def locale(self) -> str:
        text = f"{self.instructions}\n{self.request}".lower()
        found = [(match.start(), locale) for locale, pattern in _LANGUAGES if (match := re.search(pattern, text))]
        return min(found)[1] if found else self.default_locale

    @cached_property
    def extra(self) -> str:
        """What this response is told beyond the session's instructions: clients send both in one text."""
        return self.request.removeprefix(self.instructions).strip()

    @cached_property
    def greeting(self) -> str | None:
        for text in (self.extra, self.instructions):
            if match := re.search(rf"(?:saudação|greeting)[^«\"“\n]*{_QUOTED}\s*$", text, re.MULTILINE | re.IGNORECASE):
                return match[1]
        return None

    @cached_property
    def organization(self) -> str | None:
        match = re.search(r"(?:em nome de|on behalf of) (.+?), (?:na função|in the role)", self.instructions)
        return match[1] if match else None

    @cached_property
    def topics(self) -> tuple[str, ...]:
        """The titles of the facts that can be looked up."""
        match = re.search(r"lookup_information:[^\n]*?(?:lá estão|estão lá|in there)[^:\n]*: ([^\n]+?)\. (?:Se|If)", self.instructions)
        return tuple(topic.strip() for topic in match[1].split(",")) if match else ()

    @cached_property
    def fictional(self) -> bool:
        """Does nobody follow up what is asked for on this call?"""
        return "num caso real" in self.instructions or "in a real case" in self.instructions

    @cached_property
    def masculine(self) -> bool:
        """Does the voice speak of itself in the masculine?"""
        return re.search(r"g[eéê]nero masculino", self.instructions) is not None

    @cached_property
    def said(self) -> tuple[str, ...]:
        return tuple(line.text for line in self.lines if line.kind == "assistant")

    @cached_property
    def heard(self) -> tuple[str, ...]:
        return tuple(line.text for line in self.lines if line.kind == "user")

    @cached_property
    def pending(self) -> str:
        """What the caller said that nobody has answered yet."""
        trailing: list[str] = []
        for line in reversed(self.lines):
            if line.kind == "system":
                continue
            if line.kind != "user":
                break
            trailing.append(line.text)
        return " ".join(reversed(trailing))

    @cached_property
    def notice(self) -> str:
        """A word from the platform: the last system message, if nothing came after it, or this response's own instructions."""
        last = self.lines[-1].text if self.lines and self.lines[-1].kind == "system" else ""
        return f"{self.extra}\n{last}".strip()

    @cached_property
    def outputs(self) -> tuple[Line, ...]:
        """The tools' answers that nobody has spoken about yet, each with its function's name."""
        names = {line.call_id: line.name for line in self.lines if line.kind == "call"}
        trailing: list[Line] = []
        for line in reversed(self.lines):
            if line.kind != "output":
                break
            trailing.append(Line("output", line.text, names.get(line.call_id, ""), line.call_id))
        return tuple(reversed(trailing))

    def tool(self, name: str) -> dict[str, Any] | None:
        return next((tool for tool in self.tools if tool.get("name") == name), None)


def read_aloud(scene: Scene) -> str | None:
    """The text that a response is told to say word for word: what stands between `<read>` and `</read>` in its instructions."""
    match = re.search(r"<read>(.*?)</read>", scene.extra or scene.request, re.DOTALL)
    return " ".join(match[1].split()) if match else None

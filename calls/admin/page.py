"""What stands on a call's page, ready for the template: the timeline, the conversation, the trace, and the facts."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from personas import prompts
from personas.exceptions import PersonaError

from .. import briefing
from ..models import Call, CallEvent, Turn, TurnRole
from ..models.event import MENDED
from ..states import Mended, Reason, Status
from ..waiting import waiting_of
from .looks import SANDBOX, STATUS, Look, Pill, clock, first_up

# Portuguese, spoken calmly; it only places the trace's bars, whose ends nobody measured.
CHARACTERS_A_SECOND = 15
# The words that a cut-off turn ended with are marked.
CUT_WORDS = 3

KINDS = {
    "tool": gettext_lazy("tool"),
    "opening": gettext_lazy("opening"),
    "transfer": gettext_lazy("transfer"),
    "digit": gettext_lazy("a key was pressed"),
    "model": gettext_lazy("model"),
    "policy": gettext_lazy("a rule said"),
    "retry": gettext_lazy("another try"),
    "callback": gettext_lazy("another time"),
    "error": gettext_lazy("error"),
    MENDED: gettext_lazy("mended"),
}
KIND_LOOK = {"tool": Look("silencio", "still"), "opening": Look("chamada", "blue"), "transfer": Look("transferir", "blue")}
KIND_LOOK |= dict.fromkeys(("retry", "callback"), Look("agendada", "still"))
FAILED = Look("falha", "red")
FACTS: dict[str, Callable[[Any], object]] = {
    "heard_to_end": lambda heard: _("heard to its end") if heard else _("not heard to its end"),
    "at_ms": lambda ms: _("after %(ms)s ms") % {"ms": ms},
    "sip_status_code": lambda code: f"SIP {code}",
    "digit": str,
    "at": lambda at: _time(datetime.fromisoformat(at)),
    "attempt": lambda number: _("attempt %(number)s") % {"number": number},
    "kind": str,
    "silent_s": lambda seconds: _("after %(seconds)s s without a sign of life") % {"seconds": seconds},
    "callee_was_there": lambda there: _("the person was still on the line") if there else _("the person was gone"),
    "call_status": str,
    "disconnect_reason": str,
    "policy": ", ".join,
}
SPOKEN = {
    "stored": gettext_lazy("from the store"),
    "rendered": gettext_lazy("rendered while it rang"),
    "model": gettext_lazy("by the model"),
}
ACTORS = {
    "dialer": gettext_lazy("the queue worker"),
    "reconciler": gettext_lazy("the reconciler"),
    "job": gettext_lazy("the agent"),
    "sandbox": gettext_lazy("the sandbox"),
    "user": gettext_lazy("staff"),
    "key": gettext_lazy("an API key"),
    "retry": gettext_lazy("the retries"),
    "call": gettext_lazy("the conversation"),
}


@dataclass(frozen=True, slots=True)
class Happening:
    """A line of the timeline."""

    at: datetime
    look: Look
    title: str
    detail: str


@dataclass(frozen=True, slots=True)
class Link:
    """Another call of the chain; `call_id` is None while there is only a time for it."""

    name: str
    call_id: UUID | None
    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """A turn of the conversation. `cut` are the words after which it was interrupted."""

    who: str
    role: str
    when: str
    text: str
    cut: str
    is_opening: bool
    latency: str
    tool: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A turn on the trace; places and lengths in hundredths of its width."""

    kind: str
    start: float
    length: float


def timeline(events: Iterable[CallEvent]) -> list[Happening]:
    return [_happening(event) for event in events]


def _happening(event: CallEvent) -> Happening:
    if event.kind == "status" and event.new == Status.ENDED:
        title, look = reason_in_words(event.why), STATUS[Status.ENDED]
    elif event.kind == "status":
        title, look = first_up(Status(event.new).label), STATUS[event.new]
    else:
        title, look = first_up(KINDS.get(event.kind, event.kind)), KIND_LOOK.get(event.kind, FAILED)
    details = [_why_in_words(event), *_facts_in_words(event.facts), actor_in_words(event.by)]
    return Happening(at=event.at, look=look, title=title, detail=" · ".join(detail for detail in details if detail))


def _why_in_words(event: CallEvent) -> str:
    if event.kind == "opening":
        return str(SPOKEN.get(event.why, event.why))
    return mended_in_words(event) if event.kind == MENDED else event.why


def mended_in_words(event: CallEvent) -> str:
    """Why a call had to be mended."""
    return first_up(Mended(event.why).label) if event.why in Mended.values else event.why


def _facts_in_words(facts: dict[str, Any]) -> Iterator[str]:
    # PostgreSQL does not keep the order of a JSON value's names.
    known = list(FACTS)
    for name, value in sorted(facts.items(), key=lambda fact: (known.index(fact[0]) if fact[0] in known else len(known), fact[0])):
        if value not in ("", None, []):
            yield str(FACTS[name](value)) if name in FACTS else f"{name} {value}"


def actor_in_words(by: str) -> str:
    """“user:42” as “staff (42)”."""
    kind, _colon, number = by.partition(":")
    words = str(ACTORS.get(kind, kind))
    # A conversation is the call that the page tells of elsewhere.
    return f"{words} ({number})" if number and kind != "call" else words


def reason_in_words(code: str) -> str:
    """Why a call ended; a policy's own code stands for itself."""
    return first_up(Reason(code).label) if code in Reason.values else code


def sentence_of(call: Call) -> str:
    """The call in one sentence, for somebody who reads nothing else."""
    if not call.ended_at:
        return _("The page shows what is true now; load it again to follow the call.")
    parts = [reason_in_words(call.ended_reason) + "."]
    if call.answered_at:
        parts.append(_("The conversation lasted %(duration)s.") % {"duration": clock(call.duration_s)})
    if call.fault != "none":
        parts.append(_("The fault is %(whose)s.") % {"whose": call.get_fault_display()})
    if call.retryable:
        parts.append(_("Another call may do better."))
    return " ".join([*parts, call.note]).strip()


def conversation(call: Call, turns: Iterable[Turn]) -> list[Said]:
    persona = call.persona_version.name
    person = call.customer_name or _("The person")
    return [_said(call, turn, who=person if turn.role == TurnRole.USER else persona) for turn in turns]


def _said(call: Call, turn: Turn, *, who: str) -> Said:
    text, cut = turn.text, ""
    if turn.interrupted:
        words = text.rsplit(" ", CUT_WORDS)
        text, cut = (words[0] + " ", " ".join(words[1:])) if len(words) > CUT_WORDS else ("", text)
    return Said(
        who=f"{who} · {_('opening')}" if turn.is_opening else who,
        role=turn.role,
        when=clock(int(_offset(call, turn.started_at))),
        text=text,
        cut=cut,
        is_opening=turn.is_opening,
        latency="" if turn.latency_ms is None else _("answered after %(ms)s ms") % {"ms": turn.latency_ms},
        tool=turn.tool,
        arguments=", ".join(str(value) for value in turn.arguments.values()),
    )


def _offset(call: Call, at: datetime) -> float:
    """Seconds since the answer; what was written before it counts as its first moment."""
    return max(0.0, (at - (call.answered_at or call.created_at)).total_seconds())


def trace(call: Call, turns: list[Turn]) -> list[Bar]:
    """The call as bars over the line (the machine) and under it (the person); nothing for a call in which nobody spoke."""
    if not turns:
        return []
    lengths = list(_seconds(call, turns))
    whole = max(float(call.duration_s or 0), *(start + length for start, length in lengths), 1.0)
    return [
        Bar(_kind(turn), round(100 * start / whole, 2), round(max(100 * length / whole, 0.4), 2))
        for turn, (start, length) in zip(turns, lengths, strict=True)
    ]


def _kind(turn: Turn) -> str:
    if turn.role == TurnRole.TOOL:
        return "tool"
    return "opening" if turn.is_opening else "machine" if turn.role == TurnRole.ASSISTANT else "person"


def _seconds(call: Call, turns: list[Turn]) -> Iterator[tuple[float, float]]:
    starts = [_offset(call, turn.started_at) for turn in turns]
    for number, turn in enumerate(turns):
        # The next turn of the same voice ends this one; the other voice may speak over it.
        later = [start for other, start in zip(turns[number + 1 :], starts[number + 1 :], strict=True) if other.role == turn.role]
        length = len(turn.text) / CHARACTERS_A_SECOND
        yield starts[number], min(length, max(later[0] - starts[number], 0.0)) if later else length


def prompt_of(call: Call) -> str:
    """The instructions for the call's time and its opening, with the organization's and the platform's words of today."""
    can_transfer = bool(call.persona_version.transfer_number or settings.TRANSFER_PHONE_NUMBER)
    facts = briefing.facts_of(call, transfer_available=can_transfer)
    then = (call.answered_at or call.created_at).astimezone(facts.now.tzinfo)
    try:
        return prompts.instructions_for(call.persona_version, replace(facts, now=then))
    except PersonaError as wrong:
        return _("They cannot be built: %(reason)s") % {"reason": wrong}


def facts_of(call: Call) -> list[tuple[str, list[tuple[str, str]]]]:
    """The cards of words and figures: title, and pairs."""
    cards = [
        (_("In the queue"), _queue(call)),
        (_("How it went"), _went(call)),
        (_("The phone network"), _sip(call)),
        (_("Opening"), _opening(call)),
        (_("Answering times"), [(_latency_name(name), _ms(name, value)) for name, value in sorted(call.latency.items())]),
        (_("Usage"), [(name.replace("_", " "), str(value)) for name, value in _flat(call.usage)]),
    ]
    return [(title, pairs) for title, pairs in cards if pairs]


def _queue(call: Call) -> list[tuple[str, str]]:
    waiting = waiting_of(call)
    if waiting is None:
        return []
    position = _("more than %(number)s") if waiting.more_than else "%(number)s"
    pairs = [
        (_("It waits"), first_up(waiting.why.label)),
        (_("Position"), "" if waiting.position is None else position % {"number": waiting.position}),
        (_("Not before"), _time(waiting.until) if waiting.until else ""),
        (_("Not after"), _time(call.expires_at)),
        (_("Priority"), first_up(call.get_priority_display())),
    ]
    return [(name, value) for name, value in pairs if value]


def chain(call: Call) -> list[Link]:
    """The calls that this one follows from, and that follow from it."""
    retry, callback = call.retries.first(), call.callbacks.first()
    linked = [
        (_("It tries again"), call.retry_of),
        (_("It is tried again by"), retry),
        (_("It was asked for in"), call.callback_of),
        (_("The person asked for"), callback),
    ]
    links = [Link(name, other.pk, _link_text(other)) for name, other in linked if other is not None]
    if call.retry_at:
        links.append(Link(_("It is tried again"), None, _time(call.retry_at)))
    return links


def _link_text(call: Call) -> str:
    when, attempt = _time(call.due_at), _("attempt %(number)s") % {"number": call.attempt}
    return f"{when} · {attempt} · {first_up(call.get_status_display())}"


def _went(call: Call) -> list[tuple[str, str]]:
    pairs = [
        (_("Requested at"), _time(call.created_at)),
        (_("Answered after"), _seconds_between(call.dialing_at, call.answered_at)),
        (_("Lasted"), clock(call.duration_s) if call.duration_s is not None else ""),
        (_("Ended by"), first_up(call.get_ended_by_display())),
        (_("Reason"), call.ended_reason),
        (_("Attempt"), str(call.attempt)),
        (_("Line"), first_up(call.get_line_display())),
    ]
    return [(name, value) for name, value in pairs if value]


def _sip(call: Call) -> list[tuple[str, str]]:
    status = f"{call.sip_status_code or ''} {call.sip_status}".strip()
    pairs = [(_("SIP status"), status), (_("SIP call id"), call.sip_call_id), (_("Room"), call.room), (_("Agent"), call.worker)]
    return [(name, value) for name, value in pairs if value]


def _opening(call: Call) -> list[tuple[str, str]]:
    heard = {True: _("yes"), False: _("no"), None: ""}[call.opening_heard_to_end]
    pairs = [
        (_("Spoken"), str(SPOKEN.get(call.opening_spoken, call.opening_spoken))),
        (_("Heard to its end"), heard),
        (_("After the answer"), "" if call.opening_at_ms is None else f"{call.opening_at_ms} ms"),
    ]
    return [(name, value) for name, value in pairs if value]


def pill_of_the_line(call: Call) -> Pill | None:
    """What the head of the page says of the line, when no phone rang."""
    return Pill(first_up(_("simulated: nobody's phone rang")), SANDBOX) if call.simulated else None


def _flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in sorted(value.items()):
        if isinstance(inner, dict):
            yield from _flat(inner, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", inner


def _latency_name(name: str) -> str:
    return _("answers measured") if name == "count" else name


def _ms(name: str, value: object) -> str:
    return str(value) if name == "count" else f"{value} ms"


def _time(at: datetime) -> str:
    return f"{localtime(at):%d/%m/%Y, %H:%M:%S}"


def _seconds_between(start: datetime | None, end: datetime | None) -> str:
    return f"{(end - start).total_seconds():.1f} s".replace(".", ",") if start and end else ""

"""How a call's state looks on a page: a shape, a word, then a colour (nothing is said by colour alone)."""

from typing import NamedTuple

from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..models import Call
from ..states import Outcome, Status


class Look(NamedTuple):
    """`glyph` is a symbol of static/calls/glyphs.svg, `tone` a class of static/calls/admin.css."""

    glyph: str
    tone: str


STATUS: dict[str, Look] = {
    Status.SCHEDULED: Look("agendada", "still"),
    Status.QUEUED: Look("fila", "still"),
    Status.DISPATCHED: Look("fila", "still"),
    Status.DIALING: Look("marcar", "blue"),
    Status.RINGING: Look("tocar", "blue"),
    Status.IN_PROGRESS: Look("chamada", "live"),
    Status.TRANSFERRING: Look("transferir", "live"),
    Status.ENDED: Look("fim", "still"),
}
OUTCOME: dict[str, Look] = {
    Outcome.ANSWERED: Look("fim", "green"),
    Outcome.VOICEMAIL: Look("voicemail", "ochre"),
    Outcome.BUSY: Look("ocupado", "ochre"),
    Outcome.NO_ANSWER: Look("ninguem", "ochre"),
    Outcome.DECLINED: Look("recusada", "ochre"),
    Outcome.UNREACHABLE: Look("inacessivel", "ochre"),
    Outcome.CANCELED: Look("cancelada", "still"),
    Outcome.BLOCKED: Look("bloqueada", "red"),
    Outcome.FAILED: Look("falha", "red"),
}
SANDBOX = Look("sandbox", "dotted")


class Pill(NamedTuple):
    word: str
    look: Look

    def html(self) -> SafeString:
        return format_html(
            '<span class="pill {}"><svg class="g" aria-hidden="true"><use href="{}#{}"/></svg>{}</span>',
            self.look.tone,
            static("calls/glyphs.svg"),
            self.look.glyph,
            self.word,
        )


def first_up(words: object) -> str:
    """A word as it begins a line: choices are written small, as they stand in a sentence."""
    text = str(words)
    return text[:1].upper() + text[1:]


def pill_of(call: Call) -> Pill:
    """What became of an ended call, what one that has not ended is doing."""
    if call.outcome:
        return Pill(first_up(call.get_outcome_display()), OUTCOME[call.outcome])
    return Pill(first_up(call.get_status_display()), STATUS[call.status])


def sandbox_pill() -> Pill:
    return Pill(first_up(_("simulated")), SANDBOX)


def clock(seconds: int | None) -> str:
    """“2:04” for 124 seconds; a dash where there is nothing to count."""
    return "–" if seconds is None else f"{seconds // 60}:{seconds % 60:02d}"


def one_line(text: str) -> SafeString:
    """A number that a table does not break."""
    return format_html('<span class="one-line">{}</span>', text)

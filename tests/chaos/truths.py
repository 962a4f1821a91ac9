"""What may stand in the database beside what the phone saw: data, each line with its reason."""

from dataclasses import dataclass

from .facts import Saw, Victim

# What a call has ended as, where nothing that had to know of it died. The phone is right, whatever a row says.
TRUE_OUTCOMES: dict[Saw, frozenset[str]] = {
    Saw.NOTHING: frozenset({"canceled", "failed", "blocked"}),
    Saw.BUSY: frozenset({"busy"}),
    Saw.RANG_OUT: frozenset({"no_answer"}),
    # We hung up before anybody could pick up: canceled where somebody asked for it, else it was our failure.
    Saw.CUT_RINGING: frozenset({"canceled", "failed"}),
    Saw.LINE_DIED: frozenset({"failed", "no_answer", "canceled"}),
    Saw.ANSWERED: frozenset({"answered", "voicemail"}),
}

HOLDERS = frozenset({Victim.JOB, Victim.AGENT})
LINE = frozenset({Victim.LIVEKIT, Victim.SIP, Victim.REDIS})


@dataclass(frozen=True)
class Excuse:
    """Where what the phone saw could reach nobody who lived: then `outcomes` are true enough. It holds for calls whose phone saw it
    from a moment before the death on, and, with `gone_within_s`, only where the phone was gone so soon after it that nobody could look."""

    saw: Saw
    victims: frozenset[Victim]
    outcomes: frozenset[str]
    why: str
    gone_within_s: float = float("inf")


FAILED = frozenset({"failed"})
EXCUSES: tuple[Excuse, ...] = (
    Excuse(Saw.BUSY, HOLDERS | LINE, FAILED, "the dial's answer died with who waited for it, or on its way; nobody dials again to ask"),
    Excuse(Saw.RANG_OUT, HOLDERS | LINE, FAILED | {"canceled"}, "as for busy; who is asked to cancel meanwhile may do so"),
    Excuse(Saw.ANSWERED, LINE, FAILED | {"canceled"}, "LiveKit, the SIP service, or what they talk through was gone when it was picked up"),
    Excuse(
        Saw.ANSWERED, HOLDERS, FAILED | {"canceled"}, "picked up after the death, and hung up before anybody could look", gone_within_s=10
    ),
)

# Their death takes nothing from a call: it ends as if nothing had happened.
HARMLESS = frozenset({Victim.WEB, Victim.QUEUE})

# How long a callee may hear nobody, and whose absence is added to it.
ALONE_S = 15.0
AWAY_COUNTS = {
    Victim.POSTGRES: "without the database nobody knows what is true",
    Victim.LIVEKIT: "without LiveKit nobody can be hung up on",
    Victim.REDIS: "through Redis LiveKit is told to hang up",
    Victim.SIP: "without the SIP service nobody can be hung up on, nor be heard",
}

# A SIP service that stood still finds its connections gone, and tries so long to come back to rooms that were closed meanwhile: nobody
# reaches its phones then. livekit-sip's own client does the same.
SIP_SERVICE_GIVES_UP_AFTER_S = 30.0

# A call that nobody dialled is dialled later; only these say why it never can be.
GIVEN_UP_BECAUSE = frozenset({"error.configuration.trunk", "schedule.expired", "api.canceled"})

# A turn that ended so shortly before the death of who writes it may be lost with it.
BEING_WRITTEN_S = 3.0
STUCK_AFTER_S = 60.0

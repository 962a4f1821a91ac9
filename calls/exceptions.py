"""What can be wrong with a call, in the words that its reader gets, and what can go wrong at the phone company's."""

from enum import StrEnum

from accounts.refusals import Refusal


class CallError(Refusal):
    """The call cannot be made."""

    code = "call_error"


class Refused(CallError):
    """{sentence}"""

    def __init__(self, *, code: str, sentence: str) -> None:
        """Numbers, personas and contacts are refused by the apps that know them: their code and their sentence, carried on."""
        self.code = code
        super().__init__(sentence=sentence)

    def sentence(self) -> str:
        return str(self.facts["sentence"])


class NumberInCall(CallError):
    """This number is being called already. Wait until that call has ended."""

    code = "number.in_call"


class PhoneLineNotAvailable(CallError):
    """The phone line is not available."""

    code = "line.phone_not_available"


class PhoneLineNotConfigured(PhoneLineNotAvailable):
    """No phone line is configured here: LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET and SIP_TRUNK_ID are needed."""


class PhoneLineNotOpened(PhoneLineNotAvailable):
    """The phone line is not open for {organization}: a platform administrator opens it. The sandbox line can be used."""


class OrganizationClosed(CallError):
    """This organization is not active: it calls nobody."""

    code = "policy.organization"


class AnsweredSince(CallError):
    """Somebody picked up another call since: there is nothing to try again."""

    code = "policy.attempts"


class AttemptsUsedUp(CallError):
    """The person has been called as often as what they agreed to allows."""

    code = "policy.attempts"


class RetryCanceled(CallError):
    """The call was canceled: it is not tried again."""

    code = "retry.canceled"


class RetryTooLate(CallError):
    """The time at which the call was to be tried again is over."""

    code = "schedule.expired"


class CallbackImpossible(CallError):
    """The person cannot be called again then."""

    code = "callback"


class CallbackNotUnderstood(CallbackImpossible):
    """A day is written as 2026-11-25, an hour as 10:30, both as the person's own calendar and clock show them."""

    code = "callback_not_understood"


class CallbackTooSoon(CallbackImpossible):
    """The hour is over, or comes within a few minutes."""

    code = "callback_too_soon"


class CallbackTooFar(CallbackImpossible):
    """Nobody is called back after more than {days} days."""

    code = "callback_too_far"


class CallbackOutOfHours(CallbackImpossible):
    """Nobody is called at that hour."""

    code = "callback_out_of_hours"


class CallbackNowhere(CallbackImpossible):
    """Nobody knows what time it is where this number is."""

    code = "callback_nowhere"


class ConsentMissing(CallError):
    """Say how the person agreed to be called (consent), or use a key whose declaration says it."""

    code = "consent.missing"


class VariablesUnknown(CallError):
    """The persona's text has no such variables: {names}."""

    code = "unknown_variables"


class ScheduleWrong(CallError):
    """The call cannot be made at such a time."""

    code = "schedule.wrong"


class ScheduleInThePast(ScheduleWrong):
    """The call was to be made at a time that has passed."""


class ScheduleEndsTooEarly(ScheduleWrong):
    """The latest time for the call has to come after the earliest."""


class ScheduleTooFar(ScheduleWrong):
    """A call can be asked for at most {days} days ahead."""


class OtherBody(CallError):
    """This idempotency key was used for another request in the last 24 hours."""

    code = "idempotency.other_body"


class StillAnswering(CallError):
    """The first request with this idempotency key is still being answered. Ask again in a moment."""

    code = "idempotency.in_progress"
    # Seconds until it may be worth asking again: who asks waits for up to five more by itself.
    wait = 1


class WrongWay(CallError):
    """A call that is {old} cannot become {new}."""

    code = "lifecycle.wrong_way"


class FailureKind(StrEnum):
    """What went wrong at LiveKit or behind it, in our words."""

    SIP = "sip"  # the phone network answered with a SIP status
    RANG_OUT = "rang_out"  # it rang as long as it was told to, and nobody picked up
    CARRIER_SILENT = "carrier_silent"  # the carrier did not answer at all
    CARRIER_AUTH = "carrier_auth"  # the carrier wants credentials that the trunk does not have, or has no codec in common
    SERVICE_AWAY = "service_away"  # LiveKit has no SIP service at hand
    TRUNK_UNKNOWN = "trunk_unknown"
    ROOM_GONE = "room_gone"
    KEY_REFUSED = "key_refused"  # LiveKit does not accept our key
    NOT_CONFIGURED = "not_configured"
    NOT_UNDERSTOOD = "not_understood"  # LiveKit refused the request as such
    AWAY = "away"  # LiveKit answered that it cannot now
    AMBIGUOUS = "ambiguous"  # no answer came: it may have been done, or not


PERMANENT = frozenset(
    {
        FailureKind.CARRIER_AUTH,
        FailureKind.TRUNK_UNKNOWN,
        FailureKind.ROOM_GONE,
        FailureKind.KEY_REFUSED,
        FailureKind.NOT_CONFIGURED,
        FailureKind.NOT_UNDERSTOOD,
    }
)


class GatewayError(CallError):
    """LiveKit could not do it: {kind}."""

    code = "gateway"

    def __init__(self, kind: FailureKind, *, said: str = "") -> None:
        self.kind = kind
        # LiveKit's own words, for the log; they may name ids, never a number.
        self.said = said
        super().__init__(kind=kind.value)

    @property
    def permanent(self) -> bool:
        """Asking again brings the same answer, as long as nobody changes the configuration."""
        return self.kind in PERMANENT

    @property
    def retryable(self) -> bool:
        return not self.permanent


class DialFailed(GatewayError):
    """The dial failed: {kind}."""

    def __init__(self, kind: FailureKind, *, said: str = "", sip_status_code: int | None = None, sip_status: str = "") -> None:
        super().__init__(kind, said=said)
        self.sip_status_code = sip_status_code
        self.sip_status = sip_status

    @property
    def permanent(self) -> bool:
        """Always: once dialled, nothing dials the same call again (design §3, rule 3)."""
        return True


class TransferFailed(GatewayError):
    """The call could not be put through: {kind}."""

    def __init__(self, kind: FailureKind, *, said: str = "", sip_status_code: int | None = None, reason: str = "") -> None:
        super().__init__(kind, said=said)
        self.sip_status_code = sip_status_code
        self.reason = reason

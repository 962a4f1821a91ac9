"""May this call be made? One small function a rule, asked at the request and again just before the dial (design §4).

On the sandbox line every rule is asked and its answer shown, and none refuses.
"""

from collections.abc import Callable, Sequence

from ..exceptions import CallError
from .ask import Ask
from .attempts import check_attempts
from .consent import check_consent
from .organization import check_organization
from .suppression import check_suppression

Rule = Callable[[Ask], None]

# In the order in which a person would want to hear them.
RULES: Sequence[Rule] = (check_organization, check_consent, check_suppression, check_attempts)


def objections(ask: Ask) -> list[CallError]:
    """What the rules have against the call, on whatever line."""
    found = []
    for rule in RULES:
        try:
            rule(ask)
        except CallError as refusal:
            found.append(refusal)
    return found


def check_may_call(ask: Ask) -> None:
    """Raise the first rule's refusal of a phone call. Nothing is refused on the sandbox line."""
    if ask.refuses:
        for rule in RULES:
            rule(ask)


def first_objection(ask: Ask) -> CallError | None:
    """What check_may_call would raise, or None when the call may be made."""
    try:
        check_may_call(ask)
    except CallError as refusal:
        return refusal
    return None


def suppression_of(ask: Ask) -> CallError | None:
    """The one objection that is looked for once more when the call is taken for the dial: somebody may have just said it."""
    try:
        if ask.refuses:
            check_suppression(ask)
    except CallError as refusal:
        return refusal
    return None


def may_call(ask: Ask) -> bool:
    return first_objection(ask) is None


__all__ = ["RULES", "Ask", "check_may_call", "first_objection", "may_call", "objections", "suppression_of"]

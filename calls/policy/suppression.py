"""Who asked not to be called is not called, whatever else they agreed to (R6)."""

from contacts import suppressions
from contacts.exceptions import Suppressed

from ..exceptions import Refused
from .ask import Ask


def check_suppression(ask: Ask) -> None:
    """Raise Refused (policy.do_not_call) when the organization has to leave the number in peace."""
    try:
        suppressions.check_not_suppressed(organization=ask.organization, number_index=ask.number_index, simulated=ask.reads_simulated)
    except Suppressed as said:
        raise Refused(code=said.code, sentence=str(said)) from None

"""Nobody is called without evidence that they agreed (R1)."""

from contacts import consents
from contacts.exceptions import ConsentEnded

from ..exceptions import ConsentMissing, Refused
from .ask import Ask


def check_consent(ask: Ask) -> None:
    """Raise ConsentMissing without any; Refused (policy.consent) when it has ended, or was given to the sandbox alone.

    It has also ended when the person took back, after they gave it, what they had agreed to.
    """
    if ask.consent is None:
        raise ConsentMissing
    if ask.consent.simulated and not ask.reads_simulated:
        raise Refused(code=ConsentEnded.code, sentence=str(ConsentMissing()))
    try:
        consents.check_holds(ask.consent, at=ask.at)
        consents.check_not_taken_back(ask.consent, simulated=ask.reads_simulated)
    except ConsentEnded as ended:
        raise Refused(code=ended.code, sentence=str(ended)) from None

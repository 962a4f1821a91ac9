"""What a rule is asked about."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from accounts.models import Organization
from contacts.models import Consent

from ..models import Call, LineKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A call that somebody wants, or that is about to be dialled: for whom, to which number, on what evidence, when."""

    organization: Organization
    number_index: str
    line: LineKind
    consent: Consent | None
    at: datetime
    # The call itself, when it is another attempt at one that nobody answered.
    retry: Call | None = None

    @classmethod
    def about(cls, call: Call, *, at: datetime) -> Self:
        return cls(
            organization=call.organization,
            number_index=call.number_index,
            line=LineKind(call.line),
            consent=call.consent,
            at=at,
            retry=call if call.retry_of_id else None,
        )

    @property
    def refuses(self) -> bool:
        """Whether a rule's objection keeps the call from being made."""
        return self.line == LineKind.PHONE

    @property
    def reads_simulated(self) -> bool:
        """The phone line never reads what the sandbox wrote."""
        return self.line == LineKind.SANDBOX

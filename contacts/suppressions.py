"""“Do not call this number.” Holds at once, on every way to a call (R6)."""

from accounts import looks
from accounts.models import Organization, User

from .exceptions import Suppressed
from .models import Suppression

SUPPRESSED = """
SELECT 1 FROM contacts_suppression
WHERE number_index = %(number_index)s AND (organization_id = %(organization)s OR organization_id IS NULL)
    AND (%(simulated)s OR NOT simulated) AND (%(but_not_by)s = '' OR "by" <> %(but_not_by)s)
LIMIT 1
"""


def suppress(
    *,
    organization: Organization,
    number_index: str,
    reason: str,
    by: str,
    simulated: bool,
    everywhere: bool = False,
    user: User | None = None,
) -> Suppression:
    """Have the number left in peace by the organization; by all of them when `everywhere`, or when it is the demo organization.

    `reason` is one of SuppressionReason, `by` is "call:<id>", "user:42" or "key:7". What the sandbox writes is `simulated`, and
    the phone line never reads it. Asking twice leaves one row: the first.
    """
    suppression, _is_new = Suppression.objects.get_or_create(
        organization=None if everywhere or organization.is_demo else organization,
        number_index=number_index,
        simulated=simulated,
        defaults={"reason": reason, "by": by, "created_by": user},
    )
    return suppression


def is_suppressed(*, organization: Organization, number_index: str, simulated: bool = False, but_not_by: str = "") -> bool:
    """Whether the organization has to leave the number in peace.

    `simulated` also reads what the sandbox wrote; `but_not_by` overlooks what that one wrote (a call its own opt-out).
    """
    named = {"organization": organization.pk, "number_index": number_index, "simulated": simulated, "but_not_by": but_not_by}
    return looks.finds(SUPPRESSED, named)


def check_not_suppressed(*, organization: Organization, number_index: str, simulated: bool = False) -> None:
    """Raise Suppressed when the organization has to leave the number in peace; see is_suppressed."""
    if is_suppressed(organization=organization, number_index=number_index, simulated=simulated):
        raise Suppressed

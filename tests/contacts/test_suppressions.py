"""“Do not call this number” holds at once, for whom it has to, and is never read from the sandbox by the phone line (R6)."""

import pytest
from django.utils import translation

from accounts.models import Organization, User
from contacts import suppressions
from contacts.exceptions import Suppressed
from contacts.models import Suppression, SuppressionReason
from contacts.numbers import index_of
from tests.factories import OrganizationFactory
from tests.numbers import pt_mobile

pytestmark = pytest.mark.django_db
NUMBER = pt_mobile()


def suppress(organization: Organization, *, simulated: bool = False, everywhere: bool = False, by: str = "call:1") -> Suppression:
    return suppressions.suppress(
        organization=organization,
        number_index=index_of(NUMBER),
        reason=SuppressionReason.OPT_OUT_ON_CALL,
        by=by,
        simulated=simulated,
        everywhere=everywhere,
    )


def is_suppressed(organization: Organization, *, simulated: bool = False, but_not_by: str = "") -> bool:
    return suppressions.is_suppressed(organization=organization, number_index=index_of(NUMBER), simulated=simulated, but_not_by=but_not_by)


def test_an_opt_out_binds_its_organization_at_once(organization: Organization, other_organization: Organization) -> None:
    assert not is_suppressed(organization)
    suppress(organization)
    assert (is_suppressed(organization), is_suppressed(other_organization)) == (True, False)
    with translation.override("en"), pytest.raises(Suppressed, match=r"^This number asked not to be called\.$"):
        suppressions.check_not_suppressed(organization=organization, number_index=index_of(NUMBER))
    suppressions.check_not_suppressed(organization=other_organization, number_index=index_of(NUMBER))


def test_another_number_may_be_called(organization: Organization) -> None:
    suppress(organization)
    assert not suppressions.is_suppressed(organization=organization, number_index=index_of(pt_mobile(2)))


def test_an_opt_out_on_a_demonstration_call_binds_all(organization: Organization) -> None:
    demo = OrganizationFactory(is_demo=True)
    assert suppress(demo).organization is None
    assert (is_suppressed(organization), is_suppressed(demo)) == (True, True)


def test_staff_can_have_a_number_left_in_peace_by_all(organization: Organization, other_organization: Organization) -> None:
    suppress(organization, everywhere=True)
    assert is_suppressed(other_organization)


def test_the_phone_line_never_reads_what_the_sandbox_wrote(organization: Organization) -> None:
    suppress(organization, simulated=True)
    assert (is_suppressed(organization), is_suppressed(organization, simulated=True)) == (False, True)


def test_the_sandbox_shows_what_the_phone_line_would_say(organization: Organization) -> None:
    suppress(organization)
    assert is_suppressed(organization, simulated=True)


@pytest.mark.parametrize("everywhere", [False, True])
def test_asking_twice_leaves_the_first_row(organization: Organization, everywhere: bool) -> None:
    first = suppress(organization, everywhere=everywhere, by="call:1")
    again = suppress(organization, everywhere=everywhere, by="call:2")
    assert (again, again.by) == (first, "call:1")
    assert Suppression.objects.count() == 1


def test_a_calls_own_opt_out_can_be_overlooked(organization: Organization) -> None:
    suppress(organization, by="call:1")
    assert not is_suppressed(organization, but_not_by="call:1")
    assert is_suppressed(organization, but_not_by="call:2")


def test_a_suppression_keeps_who_asked_for_it(organization: Organization, alice: User) -> None:
    kept = suppressions.suppress(
        organization=organization,
        number_index=index_of(NUMBER),
        reason=SuppressionReason.STAFF,
        by=f"user:{alice.pk}",
        simulated=False,
        user=alice,
    )
    assert (kept.created_by, kept.reason) == (alice, "staff")
    assert str(kept).endswith(f"{kept.created_at:%Y-%m-%d}")

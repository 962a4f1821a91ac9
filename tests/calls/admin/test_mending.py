"""The page of the calls that the reconciler had to mend, and what the start page says when the trunk is gone."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Organization, User
from calls import lifecycle
from calls.models import Call
from calls.states import Mended, Status
from tests.call_factories import make_call as call_in
from tests.conftest import Login
from tests.factories import published_version
from tests.numbers import pt_mobile

pytestmark = pytest.mark.django_db
PAGE = "/admin/calls/mending/"
WARNING = "LiveKit does not know the trunk"


def mended(organization: Organization, why: str = Mended.WORKER_LOST, *, n: int = 1, slug: str = "") -> Call:
    version = published_version(organization=organization, **({"slug": slug} if slug else {}))
    call = call_in(Status.ENDED, version=version, number=pt_mobile(n), outcome="answered", ended_reason="error.platform.worker_lost")
    lifecycle.note_event(call, "mended", by="reconciler", why=why, facts={"silent_s": 9, "callee_was_there": True, "call_status": "active"})
    lifecycle.note_event(call, "error", by="dialer", why="gateway.away")
    return call


def without_a_trunk(organization: Organization, ago: timedelta = timedelta(minutes=5), **columns: object) -> Call:
    at = timezone.now() - ago
    return call_in(
        Status.ENDED,
        organization=organization,
        created_at=at,
        ended_at=at,
        outcome="failed",
        ended_reason="error.configuration.trunk",
        **columns,
    )


def shown(login: Login, user: User, address: str = PAGE) -> str:
    return login(user).get(address, HTTP_ACCEPT_LANGUAGE="en").content.decode()


def test_staff_see_which_calls_were_mended_and_why(login: Login, bob: User, organization: Organization) -> None:
    call = mended(organization)
    page = shown(login, bob)
    for words in ("Its agent gave no sign of life any more", "Answered", "+351 9•• ••• 001", f"/admin/calls/call/{call.pk}/change/"):
        assert words in page
    assert pt_mobile(1) not in page
    # One row: the other events of the call are no mendings.
    assert page.count(f"/admin/calls/call/{call.pk}/change/") == 1
    assert PAGE in shown(login, bob, "/admin/")


def test_the_newest_comes_first(login: Login, alice: User, organization: Organization) -> None:
    old, new = mended(organization, n=1), mended(organization, Mended.CALLEE_ALONE, n=2)
    page = shown(login, alice)
    assert page.index(str(new.pk)) < page.index(str(old.pk))


def test_each_sees_the_own_organizations_mendings(
    login: Login, alice: User, carla: User, platform_admin: User, organization: Organization
) -> None:
    call = mended(organization)
    assert [str(call.pk) in shown(login, user) for user in (alice, carla, platform_admin)] == [True, False, True]


def test_a_mending_has_no_page_of_its_own_and_is_nobodys_to_change(login: Login, platform_admin: User, organization: Organization) -> None:
    row = mended(organization).events.get(kind="mended")
    assert login(platform_admin).get(f"{PAGE}{row.pk}/change/").status_code == 403
    assert login(platform_admin).get(f"{PAGE}add/").status_code == 403


def test_the_calls_own_page_tells_of_it(login: Login, alice: User, organization: Organization) -> None:
    call = mended(organization)
    page = shown(login, alice, f"/admin/calls/call/{call.pk}/change/")
    told = "after 9 s without a sign of life · the person was still on the line · active · the reconciler"
    assert f"Its agent gave no sign of life any more · {told}" in page
    gone = mended(organization, "another_reason", n=2)
    gone.events.filter(kind="mended").update(facts={"callee_was_there": False, "disconnect_reason": "CLIENT_INITIATED"})
    assert "another_reason · the person was gone · CLIENT_INITIATED · the reconciler" in shown(
        login, alice, f"/admin/calls/call/{gone.pk}/change/"
    )


def test_the_start_page_warns_of_a_trunk_that_is_unknown(
    login: Login, alice: User, carla: User, platform_admin: User, organization: Organization
) -> None:
    without_a_trunk(organization)
    without_a_trunk(organization, timedelta(minutes=9), number=pt_mobile(2))
    without_a_trunk(organization, timedelta(minutes=61), number=pt_mobile(3))
    pages = [shown(login, user, "/admin/") for user in (alice, platform_admin, carla)]
    assert [WARNING in page for page in pages] == [True, True, False]
    assert ["in the last hour: 2," in page for page in pages] == [True, True, False]
    assert ["set SIP_TRUNK_ID" in page for page in pages] == [False, True, False]


def test_a_call_that_rang_since_then_ends_the_warning(login: Login, alice: User, organization: Organization) -> None:
    without_a_trunk(organization)
    assert WARNING in shown(login, alice, "/admin/")
    call_in(Status.RINGING, organization=organization, number=pt_mobile(2))
    assert WARNING not in shown(login, alice, "/admin/")

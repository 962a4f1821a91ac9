"""The pages of requests, and of the lines."""

import pytest

from accounts.models import Membership, Role, User
from calls.models import Call, CallRequest, Line
from calls.requests import Requester, refuse
from tests.conftest import Login
from tests.numbers import pt_mobile

from .conftest import MakeCall

pytestmark = pytest.mark.django_db
REQUESTS = "/admin/calls/callrequest/"


def test_requests_are_shown_with_their_answer(login: Login, alice: User, make_call: MakeCall) -> None:
    call = make_call()
    refuse(by=Requester(user=None), organization=call.organization, code="policy.new_rule", phone_number="ring me")
    CallRequest.objects.create(organization=call.organization, accepted=True, code="replayed", call=call, channel="api")
    page = login(alice).get(REQUESTS, HTTP_ACCEPT_LANGUAGE="en").content.decode()
    for shown in ("Accepted", "A rule forbids this call", "Answered again", "+351 9•• ••• 001", "alice@example.com", "203.0.113.9"):
        assert shown in page
    assert "ring me" not in page
    assert f"/admin/calls/call/{call.pk}/change/" in page


def test_one_request_is_read_and_not_changed(login: Login, alice: User, make_call: MakeCall) -> None:
    make_call()
    row = CallRequest.objects.get()
    page = login(alice).get(f"{REQUESTS}{row.pk}/change/")
    assert page.status_code == 200
    assert pt_mobile(1) not in page.content.decode()
    assert login(alice).post(f"{REQUESTS}{row.pk}/change/", {"code": "x"}).status_code == 403


def test_each_sees_the_own_organizations_requests(
    login: Login, alice: User, bob: User, carla: User, make_call: MakeCall, carlas_call: Call
) -> None:
    make_call()
    row = CallRequest.objects.get(organization__slug="taberna")
    assert login(alice).get(f"{REQUESTS}{row.pk}/change/").status_code == 200
    # Not there: sent back to the start.
    assert login(carla).get(f"{REQUESTS}{row.pk}/change/").status_code == 302
    assert login(bob).get(REQUESTS).status_code == 403
    Membership.objects.filter(user=bob).update(role=Role.AUDITOR)
    assert login(bob).get(REQUESTS).status_code == 200


def test_a_request_of_nobody_is_the_platforms_to_see(login: Login, alice: User, platform_admin: User) -> None:
    row = refuse(by=Requester(user=None, address="203.0.113.9"), code="not_authenticated")
    assert login(alice).get(f"{REQUESTS}{row.pk}/change/").status_code == 302
    assert login(platform_admin).get(f"{REQUESTS}{row.pk}/change/").status_code == 200


def test_the_platform_sets_a_lines_limits(login: Login, platform_admin: User, alice: User) -> None:
    line = Line.objects.get(kind="phone")
    address = f"/admin/calls/line/{line.pk}/change/"
    of_one = {"shares-0-organization": str(alice.memberships.get().organization_id), "shares-0-places": "2"}
    limits = {"places": "3", "calls_per_second": "0.5", "share": "1", "is_open": ""}
    login(platform_admin).post(address, limits | of_one | {"shares-TOTAL_FORMS": "1", "shares-INITIAL_FORMS": "0"})
    line.refresh_from_db()
    assert (line.places, line.calls_per_second, line.share, line.is_open) == (3, 0.5, 1, False)
    assert [str(share) for share in line.shares.all()] == ["Taberna do Cais: 2"]
    assert login(alice).get(address).status_code == 403
    assert login(platform_admin).get("/admin/calls/line/add/").status_code == 403
    assert login(platform_admin).get("/admin/calls/line/").status_code == 200

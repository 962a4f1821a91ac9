"""The list of calls."""

import re

import pytest

from accounts.models import User
from calls import lifecycle
from calls.models import Call
from calls.states import Outcome
from tests.conftest import Login
from tests.numbers import pt_mobile

from .conftest import MakeCall

pytestmark = pytest.mark.django_db
LIST = "/admin/calls/call/"


def listed(login: Login, user: User, **query: str) -> list[str]:
    """The ids of the calls that the page shows, in order."""
    answer = login(user).get(LIST, query)
    assert answer.status_code == 200
    found = re.findall(r"/admin/calls/call/([0-9a-f-]{36})/change/", answer.content.decode())
    return list(dict.fromkeys(found))


def test_each_sees_the_own_organizations_calls(
    login: Login, alice: User, bob: User, carla: User, platform_admin: User, make_call: MakeCall, carlas_call: Call
) -> None:
    hers = str(make_call().pk)
    assert listed(login, alice) == listed(login, bob) == [hers]
    assert listed(login, carla) == [str(carlas_call.pk)]
    assert set(listed(login, platform_admin)) == {hers, str(carlas_call.pk)}


def test_numbers_are_masked_and_names_are_not_in_the_list(login: Login, alice: User, make_call: MakeCall) -> None:
    make_call(n=7)
    page = login(alice).get(LIST).content.decode()
    assert page.count("+351 9•• ••• 007") == 1
    assert "910000007" not in page.replace(" ", "")
    assert "Ana" not in page


@pytest.mark.parametrize("typed", [pt_mobile(2), "+351 910 000 002", "00351910000002"])
def test_a_call_is_found_by_its_whole_number(login: Login, alice: User, make_call: MakeCall, carlas_call: Call, typed: str) -> None:
    make_call(1)
    call = make_call(2)
    assert listed(login, alice, q=typed) == [str(call.pk)]


def test_a_call_is_found_by_its_id(login: Login, alice: User, make_call: MakeCall, carlas_call: Call) -> None:
    call = str(make_call(1).pk)
    assert listed(login, alice, q=f" {call} ") == [call]
    assert listed(login, alice, q=str(carlas_call.pk)) == []


@pytest.mark.parametrize("typed", ["910000", "Ana", "+351"])
def test_part_of_a_number_finds_nothing(login: Login, alice: User, make_call: MakeCall, typed: str) -> None:
    make_call()
    assert listed(login, alice, q=typed) == []


def test_the_list_is_filtered(login: Login, alice: User, make_call: MakeCall) -> None:
    busy, waiting = make_call(1), make_call(2)
    lifecycle.end(busy, by="test", outcome=Outcome.BUSY, reason="dial.busy")
    for query, expected in [
        ({"status__exact": "queued"}, [waiting]),
        ({"outcome__exact": "busy"}, [busy]),
        ({"line__exact": "phone"}, []),
        ({"persona__id__exact": str(busy.persona_id)}, [waiting, busy]),
        ({"created_at_from": "2099-01-01"}, []),
        ({"created_at_from": "tomorrow", "created_at_to": ""}, [waiting, busy]),
    ]:
        assert listed(login, alice, **query) == [str(call.pk) for call in expected], query


def test_the_days_of_a_filter_are_days_here_and_the_last_is_within(login: Login, alice: User, make_call: MakeCall) -> None:
    before, first, last, after = (make_call(n) for n in range(4))
    # In July Lisbon is an hour ahead of UTC.
    for call, hour in ((before, "2026-06-30T22:59"), (first, "2026-06-30T23:00"), (last, "2026-07-02T22:59"), (after, "2026-07-02T23:00")):
        Call.objects.filter(pk=call.pk).update(created_at=f"{hour}:00Z")
    assert listed(login, alice, created_at_from="01/07/2026", created_at_to="2026-07-02") == [str(last.pk), str(first.pk)]


def test_a_state_is_a_shape_and_a_word(login: Login, alice: User, make_call: MakeCall) -> None:
    lifecycle.end(make_call(), by="test", outcome=Outcome.FAILED, reason="policy.new_rule")
    page = login(alice).get(LIST, HTTP_ACCEPT_LANGUAGE="en").content.decode()
    assert re.findall(r'<span class="pill ([a-z]+)"><svg[^>]*><use href="[^"]*#([a-z]+)"/></svg>([^<]+)<', page) == [
        ("red", "falha", "Failed"),
        ("dotted", "sandbox", "Simulated"),
    ]
    assert page.count("policy.new_rule") == 1


def test_nobody_adds_changes_or_deletes_a_call(login: Login, platform_admin: User, make_call: MakeCall) -> None:
    browser, call = login(platform_admin), make_call()
    assert browser.get(LIST + "add/").status_code == 403
    assert browser.post(f"{LIST}{call.pk}/delete/", {"post": "yes"}).status_code == 403
    browser.post(LIST, {"action": "delete_selected", "_selected_action": [call.pk], "post": "yes"})
    assert Call.objects.count() == 1

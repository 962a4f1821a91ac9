"""Each thing that can be wrong with a request is told apart, by a code that stays, and is kept (R14)."""

import json
from typing import Any

import pytest

from accounts import api_keys
from accounts.models import ApiKey, Organization, User
from calls import lifecycle
from calls.api.problems import CODES
from calls.models import Call, CallRequest
from calls.states import Outcome
from contacts import suppressions
from contacts.models import SuppressionReason
from contacts.numbers import index_of
from personas import publishing
from personas.models import Persona
from tests.numbers import pt_mobile

from .conftest import CALLS, CONSENT, START, ApiClient, MakeCall

pytestmark = pytest.mark.django_db


def problem(answer: Any) -> tuple[int, str, list[tuple[str, str]]]:
    """Status, code, and which field is wrong for which reason; the rest of the form is checked on the way."""
    said = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert set(said) == {"type", "title", "status", "detail", "code", "request_id", "errors"}
    assert said["type"] == f"urn:chamada:problem:{said['code']}"
    assert (said["status"], said["request_id"]) == (answer.status_code, answer.headers["X-Request-ID"])
    assert said["title"] == str(CODES[said["code"]].title)
    assert said["detail"]
    return answer.status_code, said["code"], [(error["pointer"], error["code"]) for error in said["errors"]]


def test_a_refused_request_makes_no_call_and_is_kept(api: ApiClient, order: dict[str, Any], api_key: ApiKey) -> None:
    answer = api.post(START, order | {"phone_number": "+3519"})
    kept = CallRequest.objects.get()
    assert Call.objects.count() == 0
    assert (kept.accepted, kept.code, kept.number, kept.persona) == (False, "number.bad", "+3519", "restaurante")
    assert (kept.organization, kept.api_key, kept.request_id) == (api_key.organization, api_key, answer.json()["request_id"])


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        ("", "/phone_number"),
        ("910000001", "country code"),
        ("+351", "too short"),
        ("+3519100000011111", "too long"),
        ("+351 760 300 300", "premium"),
        ("+999 123 456 789", "No country"),
        ("call me", "digits"),
    ],
)
def test_a_bad_number_is_refused_with_why(api: ApiClient, order: dict[str, Any], number: str, sentence: str) -> None:
    answer = api.post(START, order | {"phone_number": number}, HTTP_ACCEPT_LANGUAGE="en")
    assert answer.status_code in (400, 422)
    assert sentence in json.dumps(answer.json())
    if number:
        assert problem(answer) == (422, "number.bad", [("/phone_number", "number.bad")])
        assert number not in answer.json()["detail"]


def test_an_unknown_persona(api: ApiClient, order: dict[str, Any]) -> None:
    assert problem(api.post(START, order | {"persona": "nobody"})) == (422, "unknown_persona", [("/persona", "unknown_persona")])


def test_another_organizations_persona_is_unknown(api: ApiClient, order: dict[str, Any], other_organization: Organization) -> None:
    from tests.factories import published_version

    theirs = published_version(organization=other_organization, slug="clinica")
    for name in ("clinica", str(theirs.persona_id)):
        assert problem(api.post(START, order | {"persona": name}))[1] == "unknown_persona"


def test_an_unpublished_persona(api: ApiClient, order: dict[str, Any], persona: Persona, alice: User) -> None:
    publishing.withdraw(by=alice, persona=persona)
    assert problem(api.post(START, order)) == (422, "unpublished_persona", [("/persona", "unpublished_persona")])


def test_an_unknown_version(api: ApiClient, order: dict[str, Any]) -> None:
    answer = api.post(CALLS, order | {"persona_version": 7})
    assert problem(answer) == (422, "unknown_persona_version", [("/persona_version", "unknown_persona_version")])


def test_the_phone_where_there_is_none_says_so(api: ApiClient, order: dict[str, Any]) -> None:
    answer = api.post(CALLS, order | {"line": "phone"}, HTTP_ACCEPT_LANGUAGE="en")
    assert problem(answer) == (422, "line.phone_not_available", [("/line", "line.phone_not_available")])
    assert "LIVEKIT_URL" in answer.json()["detail"]


@pytest.mark.usefixtures("phone_line")
def test_the_phone_that_is_not_open_for_the_organization_says_so(api: ApiClient, order: dict[str, Any], organization: Organization) -> None:
    Organization.objects.update(phone_line=False)
    answer = api.post(CALLS, order | {"line": "phone"}, HTTP_ACCEPT_LANGUAGE="en")
    assert problem(answer)[1] == "line.phone_not_available"
    assert "Taberna do Cais" in answer.json()["detail"]


@pytest.mark.usefixtures("phone_line")
def test_a_number_is_called_once_at_a_time(api: ApiClient, order: dict[str, Any], make_call: MakeCall) -> None:
    first = api.post(START, order).json()
    assert problem(api.post(START, order)) == (409, "number.in_call", [("/phone_number", "number.in_call")])
    lifecycle.end(Call.objects.get(pk=first["id"]), by="test", outcome=Outcome.BUSY, reason="dial.busy")
    assert api.post(START, order).status_code == 202


@pytest.mark.usefixtures("phone_line")
def test_who_asked_not_to_be_called_is_not_called(api: ApiClient, order: dict[str, Any], organization: Organization) -> None:
    suppressions.suppress(
        organization=organization, number_index=index_of(pt_mobile(1)), reason=SuppressionReason.STAFF, by="user:1", simulated=False
    )
    assert problem(api.post(START, order)) == (422, "policy.do_not_call", [("/phone_number", "policy.do_not_call")])


@pytest.mark.usefixtures("phone_line")
def test_a_consent_that_has_ended(api: ApiClient, order: dict[str, Any]) -> None:
    answer = api.post(START, order | {"consent": CONSENT | {"obtained_at": "2020-01-01T00:00:00Z"}})
    assert problem(answer) == (422, "policy.consent", [("/consent", "policy.consent")])


@pytest.mark.parametrize("line", ["phone", "sandbox"])
@pytest.mark.usefixtures("phone_line")
def test_a_consent_of_the_far_future_is_refused_on_every_line(api: ApiClient, order: dict[str, Any], line: str) -> None:
    consent = CONSENT | {"obtained_at": "9999-12-31T23:59:59Z"}
    answer = api.post(CALLS, order | {"line": line, "consent": consent}, HTTP_ACCEPT_LANGUAGE="en")
    assert problem(answer) == (422, "policy.consent", [("/consent", "policy.consent")])
    assert answer.json()["detail"] == "A consent cannot have been obtained in the future."


@pytest.mark.parametrize(
    "body", [" ", "{", "phone_number=1", "[]", '"a"', "null", '{"a": NaN}', '{"a": 1e400}', '{"a": "\\u0000"}', '{"a": "\\ud800"}', b"\xff"]
)
def test_a_body_that_is_no_json_object(api: ApiClient, body: str | bytes) -> None:
    assert problem(api.post(START, body)) == (400, "not_json", [])
    assert CallRequest.objects.get().code == "not_json"


def test_a_body_that_is_nested_without_end(api: ApiClient) -> None:
    assert problem(api.post(START, "[" * 100_000))[1] == "not_json"
    assert problem(api.post(CALLS, '{"metadata":' + '{"a":' * 100 + "1" + "}" * 101))[1] == "not_json"


def test_a_body_of_two_megabytes(api: ApiClient, order: dict[str, Any]) -> None:
    answer = api.post(START, order | {"customer_name": "a" * 2_000_000}, HTTP_ACCEPT_LANGUAGE="en")
    assert problem(answer) == (413, "too_long", [])
    assert answer.json()["detail"] == "The body is longer than 256 kB."
    assert CallRequest.objects.get().code == "too_long"


def test_a_body_without_a_length(api: ApiClient) -> None:
    answer = api.post(START, b"", HTTP_TRANSFER_ENCODING="chunked", CONTENT_LENGTH="")
    assert problem(answer) == (411, "no_length", [])


@pytest.mark.parametrize("length", ["abc", "-1", "٣", "9" * 5000])
def test_a_length_that_is_no_length(api: ApiClient, length: str) -> None:
    assert problem(api.post(START, b"{}", CONTENT_LENGTH=length)) == (411, "no_length", [])
    assert CallRequest.objects.get().code == "no_length"


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a"])
def test_a_body_that_does_not_say_that_it_is_json(api: ApiClient, order: dict[str, Any], content_type: str) -> None:
    assert problem(api.generic("POST", START, json.dumps(order), content_type)) == (415, "wrong_content_type", [])


def test_json_with_a_charset_is_json(api: ApiClient, order: dict[str, Any]) -> None:
    assert api.generic("POST", START, json.dumps(order), "application/json; charset=utf-8").status_code == 202


@pytest.mark.parametrize(
    ("address", "method"),
    [(START, "GET"), (START, "PUT"), (START, "DELETE"), (CALLS, "PATCH"), (CALLS, "OPTIONS"), (START, "TRACE")],
)
def test_a_method_that_means_nothing(api: ApiClient, address: str, method: str) -> None:
    answer = api.generic(method, address)
    assert problem(answer) == (405, "method_not_allowed", [])
    assert answer.headers["Allow"] == ("POST" if address == START else "GET, HEAD, POST")
    assert CallRequest.objects.count() == 0


@pytest.mark.parametrize(
    ("more", "errors"),
    [
        ({"phone": "+351"}, [("/phone", "unknown")]),
        ({"line": "phone", "priority": 1}, [("/line", "unknown"), ("/priority", "unknown")]),
        ({"phone_number": 351910000001}, [("/phone_number", "invalid")]),
        ({"phone_number": None}, [("/phone_number", "null")]),
        ({"phone_number": "9" * 65}, [("/phone_number", "max_length")]),
        ({"persona": ["restaurante"]}, [("/persona", "invalid")]),
        ({"persona": True}, [("/persona", "invalid")]),
        ({"customer_name": 7}, [("/customer_name", "invalid")]),
        ({"consent": "yes"}, [("/consent", "invalid")]),
        ({"consent": {}}, [(f"/consent/{name}", "required") for name in ("purpose", "basis", "obtained_at", "text_version")]),
        ({"consent": CONSENT | {"purpose": "fun"}}, [("/consent/purpose", "invalid_choice")]),
        ({"consent": CONSENT | {"proof": 1}}, [("/consent/proof", "unknown")]),
        ({"consent": CONSENT | {"obtained_at": "yesterday"}}, [("/consent/obtained_at", "invalid")]),
        ({"consent": CONSENT | {"obtained_at": "2026-11-23"}}, [("/consent/obtained_at", "no_zone")]),
        ({"consent": CONSENT | {"obtained_at": "2026-11-23T18:00:00"}}, [("/consent/obtained_at", "no_zone")]),
    ],
)
def test_fields_that_are_wrong_are_named(
    api: ApiClient, order: dict[str, Any], more: dict[str, Any], errors: list[tuple[str, str]]
) -> None:
    assert problem(api.post(START, order | more)) == (400, "invalid", errors)
    assert CallRequest.objects.get().code == "invalid"


@pytest.mark.parametrize(
    ("more", "errors"),
    [
        ({"line": "radio"}, [("/line", "invalid_choice")]),
        ({"persona_version": 0}, [("/persona_version", "min_value")]),
        ({"persona_version": "1"}, [("/persona_version", "invalid")]),
        ({"persona_version": True}, [("/persona_version", "invalid")]),
        ({"ring_timeout_s": 4}, [("/ring_timeout_s", "min_value")]),
        ({"ring_timeout_s": 81}, [("/ring_timeout_s", "max_value")]),
        ({"max_duration_s": 1801}, [("/max_duration_s", "max_value")]),
        ({"variables": {"a": 1}}, [("/variables/a", "invalid")]),
        ({"variables": {f"v{n}": "" for n in range(41)}}, [("/variables", "max_length")]),
        ({"variables": []}, [("/variables", "not_a_dict")]),
        ({"variables": {"a": "x" * 301}}, [("/variables/a", "max_length")]),
        ({"metadata": {f"k{n}": 1 for n in range(41)}}, [("/metadata", "max_length")]),
        ({"metadata": {"note": "é" * 2048}}, [("/metadata", "max_length")]),
        ({"metadata": "order 1"}, [("/metadata", "not_a_dict")]),
    ],
)
def test_fields_of_the_full_form_that_are_wrong_are_named(
    api: ApiClient, order: dict[str, Any], more: dict[str, Any], errors: list[tuple[str, str]]
) -> None:
    assert problem(api.post(CALLS, order | more)) == (400, "invalid", errors)


def test_fields_that_are_missing_are_named(api: ApiClient) -> None:
    assert problem(api.post(START, {})) == (400, "invalid", [("/phone_number", "required"), ("/persona", "required")])
    assert api.post(START, {}, HTTP_ACCEPT_LANGUAGE="en").json()["detail"] == "Wrong or missing: phone_number, persona."


def test_nobody(anonymous: ApiClient, order: dict[str, Any]) -> None:
    answer = anonymous.post(START, order)
    assert problem(answer) == (401, "not_authenticated", [])
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    kept = CallRequest.objects.get()
    assert (kept.code, kept.organization, kept.user, kept.address) == ("not_authenticated", None, None, "127.0.0.1")


@pytest.mark.parametrize("key", ["chm_unknown", "é", ""])
def test_a_key_that_nobody_has(order: dict[str, Any], key: str) -> None:
    answer = ApiClient().post(START, order, HTTP_AUTHORIZATION=f"Bearer {key}")
    assert problem(answer) == (401, "invalid_key", [])
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_key_that_was_revoked(api: ApiClient, order: dict[str, Any], api_key: ApiKey, alice: User) -> None:
    api_keys.revoke(by=alice, key=api_key)
    assert problem(api.post(START, order))[:2] == (401, "invalid_key")


def test_an_address_where_nothing_is(api: ApiClient) -> None:
    assert problem(api.get("/api/v1/nothing/"))[:2] == (404, "not_found")
    assert problem(api.get(CALLS + "not-a-uuid/"))[:2] == (404, "not_found")


@pytest.mark.parametrize(("language", "title"), [("pt", "O corpo não é JSON"), ("en", "The body is not JSON"), ("", "O corpo não é JSON")])
def test_errors_are_told_in_the_readers_language_first_of_all_in_portuguese(api: ApiClient, language: str, title: str) -> None:
    headers = {"HTTP_ACCEPT_LANGUAGE": language} if language else {}
    assert api.post(START, "{", **headers).json()["title"] == title


def test_no_answer_and_no_log_line_repeats_the_number(api: ApiClient, order: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    answers = [
        api.post(START, order),
        api.post(START, order | {"persona": "nobody"}),
        api.post(START, order | {"phone_number": "+35191000000199"}),
    ]
    for text in [caplog.text, *(answer.content.decode() for answer in answers)]:
        assert "910000001" not in text
        assert "910 000 001" not in text

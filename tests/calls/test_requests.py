"""A call is asked for once and only once; what is refused says why, and every asking is kept (R1, R14)."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection
from django.utils import timezone, translation
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.models import ApiKey, Organization, User
from accounts.purposes import Purpose
from calls import idempotency, lines
from calls.exceptions import (
    CallError,
    ConsentMissing,
    NumberInCall,
    OtherBody,
    PhoneLineNotConfigured,
    PhoneLineNotOpened,
    Refused,
    StillAnswering,
)
from calls.idempotency import Promise
from calls.models import Call, CallEvent, CallRequest, IdempotencyRecord, LineKind
from calls.orders import ConsentClaim
from calls.requests import Accepted, refuse, request_call
from calls.states import Status
from contacts import suppressions
from contacts.models import Consent, Contact, SuppressionReason
from contacts.numbers import index_of
from personas.models import Persona, PersonaVersion
from tests.call_factories import a_requester, an_order, make_call
from tests.numbers import pt_mobile

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("persona_version")]


def ask(organization: Organization, *, by: Any = None, key: str | None = None, answer: Any = None, **fields: Any) -> Accepted:
    more = {"answer": answer} if answer else {}
    return request_call(organization=organization, by=by or a_requester(), order=an_order(**fields), idempotency_key=key, **more)


def refusal(organization: Organization, **fields: Any) -> CallError:
    with translation.override("en"), pytest.raises(CallError) as raised:
        ask(organization, **fields)
    return raised.value


@pytest.mark.usefixtures("phone_line")
def test_a_request_becomes_a_call_with_all_that_belongs_to_it(
    organization: Organization, persona_version: PersonaVersion, api_key: ApiKey, alice: User
) -> None:
    PersonaVersion.objects.update(variables=["table"])
    by = a_requester(user=alice, api_key=api_key)
    before = timezone.now()
    accepted = ask(
        organization, by=by, phone_number="00351 910 000 001", customer_name="Ana", variables={"table": "4"}, metadata={"order": 12}
    )
    call = Call.objects.for_briefing().get()
    assert (accepted.call, accepted.answer, accepted.replayed) == (call, {"id": str(call.pk)}, False)
    assert (call.organization, call.persona_version, call.persona) == (organization, persona_version, persona_version.persona)
    assert (call.line, call.simulated, call.status, call.room) == ("phone", False, "queued", f"call_restaurante_{call.pk}")
    assert (call.number, call.number_index) == (pt_mobile(1), index_of(pt_mobile(1)))
    assert (call.customer_name, call.variables, call.metadata) == ("Ana", {"table": "4"}, {"order": 12})
    assert (call.requested_by, call.api_key, call.attempt, call.claim) == (alice, api_key, 1, "")
    assert before <= call.created_at == call.queued_at
    # By the database's clock.
    assert abs(call.due_at - call.created_at) < timedelta(seconds=1)
    assert call.expires_at == call.created_at + timedelta(minutes=15)
    assert call.opening_text.startswith("Olá, fala a assistente virtual de inteligência artificial da Taberna do Cais.")
    assert call.contact == Contact.objects.get()
    assert list(call.events.values_list("old", "new", "by", "facts")) == [("", "queued", f"key:{api_key.pk}", {})]
    kept = CallRequest.objects.get()
    assert (kept.accepted, kept.code, kept.call, kept.persona) == (True, "accepted", call, "restaurante")
    assert (kept.number, kept.number_index, kept.address, kept.channel) == ("00351 910 000 001", call.number_index, "192.0.2.7", "api")
    assert (kept.organization, kept.user, kept.api_key, kept.request_id) == (organization, alice, api_key, "r-1")
    assert str(kept) == f"{kept.at:%Y-%m-%d %H:%M:%S} accepted"


def test_an_accepted_request_is_one_transaction_of_few_queries(
    organization: Organization, api_key: ApiKey, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    ask(organization, phone_number=pt_mobile(2))
    # The persona, suppression twice (refused? shown?), the contact, a row each for consent, call, event, request; PostgreSQL's NOTIFY.
    with django_assert_max_num_queries(11 if connection.vendor == "postgresql" else 10) as queries:
        ask(organization, by=a_requester(api_key=api_key), phone_number=pt_mobile(2))
    assert [query["sql"] for query in queries.captured_queries if query["sql"].startswith(("BEGIN", "COMMIT"))] == []


# -- consent (R1) ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("phone_line")
def test_the_orders_own_consent_is_kept_as_evidence(organization: Organization, api_key: ApiKey) -> None:
    at = timezone.now() - timedelta(days=2)
    claim = ConsentClaim(purpose=Purpose.MARKETING, basis="order form", obtained_at=at, text_version="7", reference="order 12")
    ask(organization, by=a_requester(api_key=api_key), consent=claim)
    consent = Consent.objects.get()
    assert (consent.purpose, consent.basis, consent.text_version, consent.reference) == ("marketing", "order form", "7", "order 12")
    assert (consent.obtained_at, consent.channel, consent.declared_by) == (at, "api", f"key:{api_key.pk}")
    assert (consent.address, consent.user_agent, consent.locale, consent.simulated) == ("192.0.2.7", "tests", "pt-PT", False)
    assert consent.contact == Contact.objects.get()


@pytest.mark.usefixtures("phone_line")
def test_the_keys_declaration_stands_in_for_the_orders_consent(organization: Organization, api_key: ApiKey, alice: User) -> None:
    call = ask(organization, by=a_requester(api_key=api_key), consent=None).call
    assert call.consent is not None
    assert (call.consent.purpose, call.consent.basis, call.consent.channel) == ("transactional", "contact form", "api_key_declaration")
    assert (call.consent.text_version, call.consent.declared_by) == ("2026-11", f"user:{alice.pk}")


@pytest.mark.usefixtures("phone_line")
def test_staff_state_the_basis_themselves(organization: Organization, alice: User) -> None:
    call = ask(organization, by=a_requester(user=alice, channel="staff")).call
    assert call.consent is not None
    assert (call.consent.channel, call.consent.declared_by) == ("staff", f"user:{alice.pk}")


@pytest.mark.usefixtures("phone_line")
def test_without_any_consent_no_phone_rings(organization: Organization, alice: User) -> None:
    said = refusal(organization, by=a_requester(user=alice), consent=None)
    assert isinstance(said, ConsentMissing)
    assert (said.code, str(said)) == (
        "consent.missing",
        "Say how the person agreed to be called (consent), or use a key whose declaration says it.",
    )
    assert (Call.objects.count(), Consent.objects.count(), Contact.objects.count()) == (0, 0, 0)


@pytest.mark.usefixtures("phone_line")
@pytest.mark.parametrize(
    ("ago", "sentence"),
    [
        (timedelta(days=31), "The person's consent held until"),
        (timedelta(days=-1), "A consent cannot have been obtained in the future."),
    ],
)
def test_a_consent_that_does_not_hold_is_none(organization: Organization, ago: timedelta, sentence: str) -> None:
    claim = ConsentClaim(purpose=Purpose.TRANSACTIONAL, basis="form", obtained_at=timezone.now() - ago, text_version="7")
    said = refusal(organization, consent=claim)
    assert (said.code, str(said)[: len(sentence)]) == ("policy.consent", sentence)
    assert Consent.objects.count() == 0


# -- what is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("phone_line")
def test_who_asked_not_to_be_called_is_not(organization: Organization) -> None:
    suppressions.suppress(
        organization=organization, number_index=index_of(pt_mobile()), reason=SuppressionReason.STAFF, by="user:1", simulated=False
    )
    said = refusal(organization)
    assert (said.code, str(said)) == ("policy.do_not_call", "This number asked not to be called.")
    assert Call.objects.count() == 0


@pytest.mark.parametrize(
    ("fields", "code", "sentence"),
    [
        ({"phone_number": "910000001"}, "number.bad", "The number needs its country code in front: +351 …."),
        ({"persona": "nobody"}, "unknown_persona", "There is no persona “nobody” here."),
        ({"persona_version": 9}, "unknown_persona_version", "The persona “restaurante” has no version 9."),
    ],
)
def test_a_refusal_says_what_is_wrong_and_is_kept(organization: Organization, fields: dict[str, Any], code: str, sentence: str) -> None:
    said = refusal(organization, **fields)
    assert (type(said), said.code, str(said)) == (Refused, code, sentence)
    kept = CallRequest.objects.get()
    order = an_order(**fields)
    assert (kept.accepted, kept.code, kept.call, kept.number, kept.persona) == (False, code, None, order.phone_number, order.persona)


def test_an_unpublished_persona_cannot_call(organization: Organization) -> None:
    Persona.objects.update(published=None)
    assert refusal(organization).code == "unpublished_persona"


def test_a_persona_of_another_organization_is_unknown(other_organization: Organization) -> None:
    assert refusal(other_organization).code == "unknown_persona"


def test_no_refusal_repeats_a_number_or_shows_one_in_its_repr(organization: Organization) -> None:
    order = an_order(phone_number="+351 91 secret", customer_name="Ana")
    with pytest.raises(CallError) as raised:
        request_call(organization=organization, by=a_requester(), order=order)
    assert [text for text in (str(raised.value), repr(raised.value), repr(order)) if "secret" in text or "Ana" in text] == []


@pytest.mark.usefixtures("phone_line")
def test_a_number_that_is_in_a_call_is_not_called_again(organization: Organization, other_organization: Organization) -> None:
    make_call(Status.IN_PROGRESS, organization=other_organization)
    said = refusal(organization)
    assert isinstance(said, NumberInCall)
    assert str(said) == "This number is being called already. Wait until that call has ended."
    assert (Call.objects.count(), CallRequest.objects.get().code) == (1, "number.in_call")


@pytest.mark.usefixtures("phone_line")
def test_another_fault_of_the_database_is_not_taken_for_a_busy_number(organization: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    call = ask(organization).call
    monkeypatch.setattr("uuid.uuid4", lambda: call.pk)
    with pytest.raises(DatabaseError):
        ask(organization, phone_number=pt_mobile(2))


def test_what_never_became_an_order_is_kept_too(organization: Organization) -> None:
    kept = refuse(by=a_requester(request_id="x" * 80), code="not_json")
    assert (kept.accepted, kept.code, kept.organization, kept.number, kept.number_index, kept.persona) == (
        False,
        "not_json",
        None,
        "",
        "",
        "",
    )
    assert kept.request_id == "x" * 64
    long = refuse(by=a_requester(), code="invalid", organization=organization, phone_number="9" * 100, persona="p" * 100)
    assert (long.number, long.persona, long.organization) == ("9" * 64, "p" * 64, organization)
    assert refuse(by=a_requester(), code="x", phone_number=pt_mobile()).number_index == index_of(pt_mobile())


def test_who_asks_has_a_name(alice: User, api_key: ApiKey) -> None:
    names = [a_requester(**who).name for who in ({}, {"user": alice}, {"user": alice, "api_key": api_key})]
    assert names == ["nobody", f"user:{alice.pk}", f"key:{api_key.pk}"]


# -- lines ----------------------------------------------------------------------------------------------------------------


def test_without_a_phone_line_the_sandbox_carries_the_call(organization: Organization) -> None:
    call = ask(organization).call
    assert (call.line, call.simulated, call.consent is not None and call.consent.simulated) == ("sandbox", True, True)


@pytest.mark.usefixtures("phone_line")
def test_the_sandbox_can_be_asked_for(organization: Organization) -> None:
    assert ask(organization, line="sandbox").call.line == "sandbox"


@pytest.mark.usefixtures("phone_line")
@pytest.mark.parametrize("name", ["LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "SIP_TRUNK_ID"])
def test_a_phone_line_that_is_not_configured_says_so(organization: Organization, settings: Settings, name: str) -> None:
    setattr(settings, name, "")
    said = refusal(organization, line="phone")
    assert (type(said), said.code, name in str(said)) == (PhoneLineNotConfigured, "line.phone_not_available", True)
    assert lines.default_line(organization) == LineKind.SANDBOX


@pytest.mark.usefixtures("phone_line")
def test_a_phone_line_that_is_not_open_for_an_organization_says_so(organization: Organization) -> None:
    organization.phone_line = False
    said = refusal(organization, line="phone")
    assert isinstance(said, PhoneLineNotOpened)
    assert str(said) == ("The phone line is not open for Taberna do Cais: a platform administrator opens it. The sandbox line can be used.")
    assert not lines.may_use(organization, LineKind.PHONE)


def test_on_the_sandbox_every_rule_is_asked_and_none_refuses(organization: Organization, alice: User) -> None:
    suppressions.suppress(
        organization=organization, number_index=index_of(pt_mobile()), reason=SuppressionReason.STAFF, by="user:1", simulated=True
    )
    call = ask(organization, by=a_requester(user=alice), consent=None).call
    assert (call.consent, call.purpose) == (None, Purpose.DEMO_CALL)
    assert CallEvent.objects.get().facts == {"policy": ["consent.missing", "policy.do_not_call"]}


# -- limits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "rings", "lasts"),
    [({}, 30, 300), ({"ring_timeout_s": 5, "max_duration_s": 30}, 5, 30), ({"ring_timeout_s": 80, "max_duration_s": 1800}, 30, 300)],
    ids=["the persona's", "tightened", "never loosened"],
)
def test_a_personas_limits_can_only_be_tightened(organization: Organization, asked: dict[str, int], rings: int, lasts: int) -> None:
    call = ask(organization, **asked).call
    assert (call.ring_timeout_s, call.max_duration_s) == (rings, lasts)


# -- once and only once -----------------------------------------------------------------------------------------------------


def test_the_same_key_and_body_give_the_first_answer_again(organization: Organization) -> None:
    first = ask(organization, key="k", consent=None, answer=lambda call: {"id": str(call.pk), "status": call.status})
    Call.objects.update(customer_name="changed since")
    again = ask(organization, key="k", consent=None, answer=lambda call: {"never": "asked"})
    assert (again.call, again.replayed, first.replayed) == (first.call, True, False)
    assert again.answer == first.answer == {"id": str(first.call.pk), "status": "queued"}
    assert Call.objects.count() == 1
    assert list(CallRequest.objects.order_by("pk").values_list("code", "accepted", "call")) == [
        ("accepted", True, first.call.pk),
        ("replayed", True, first.call.pk),
    ]


@pytest.mark.usefixtures("phone_line")
def test_a_replay_asks_no_rule_again(organization: Organization) -> None:
    order = an_order()
    first = request_call(organization=organization, by=a_requester(), order=order, idempotency_key="k")
    suppressions.suppress(
        organization=organization, number_index=index_of(pt_mobile()), reason=SuppressionReason.STAFF, by="user:1", simulated=False
    )
    assert request_call(organization=organization, by=a_requester(), order=order, idempotency_key="k").call == first.call


@pytest.mark.parametrize("fields", [{"phone_number": pt_mobile(2)}, {"customer_name": "Rui"}, {"metadata": {"a": 1}}])
def test_the_same_key_with_another_body_is_an_error(organization: Organization, fields: dict[str, Any]) -> None:
    ask(organization, key="k", consent=None)
    with pytest.raises(OtherBody):
        ask(organization, key="k", consent=None, **fields)
    assert Call.objects.count() == 1
    assert CallRequest.objects.latest("pk").code == "idempotency.other_body"


def test_a_variable_that_the_persona_does_not_know_is_named(organization: Organization) -> None:
    said = refusal(organization, variables={"mesa": "4", "x" * 100: ""})
    assert (said.code, str(said)) == ("unknown_variables", f"The persona's text has no such variables: mesa, {'x' * 64}.")
    assert Call.objects.count() == 0


def test_a_number_in_the_place_of_the_persona_is_neither_kept_nor_repeated(organization: Organization) -> None:
    said = refusal(organization, persona=pt_mobile())
    assert (str(said), CallRequest.objects.get().persona) == ("There is no persona “•••” here.", "•••")


def test_a_refusal_is_not_kept_under_the_key(organization: Organization) -> None:
    with pytest.raises(Refused):
        ask(organization, key="k", persona="nobody", consent=None)
    assert IdempotencyRecord.objects.count() == 0
    assert not ask(organization, key="k", consent=None).replayed


def test_a_key_is_forgotten_after_a_day(organization: Organization) -> None:
    first = ask(organization, key="k", consent=None)
    IdempotencyRecord.objects.update(created_at=timezone.now() - timedelta(hours=24))
    second = ask(organization, key="k", consent=None, customer_name="Rui")
    assert (second.replayed, second.call != first.call, Call.objects.count()) == (False, True, 2)


def test_a_key_that_was_never_used_recalls_nothing(organization: Organization) -> None:
    assert idempotency.recall(Promise(organization=organization, key="k", body_digest="")) is None


def test_a_key_that_a_third_request_took_meanwhile_is_still_being_answered() -> None:
    with pytest.raises(StillAnswering), idempotency.waiting():
        raise idempotency.KeyIsTaken


@pytest.mark.parametrize(
    ("vendor", "statements"),
    [
        ("postgresql", ["SET LOCAL lock_timeout = '5s'"]),
        ("sqlite", ["PRAGMA busy_timeout = 5000", "PRAGMA busy_timeout = 20000"]),
    ],
)
def test_each_database_is_told_how_long_to_wait_in_its_own_words(
    organization: Organization, monkeypatch: pytest.MonkeyPatch, vendor: str, statements: list[str]
) -> None:
    # That the words work is shown where it is the database: test_races.
    told: list[str] = []
    monkeypatch.setattr(idempotency, "_execute", told.append)
    monkeypatch.setattr(idempotency, "connection", SimpleNamespace(vendor=vendor, settings_dict={"OPTIONS": {"timeout": 20}}))
    with idempotency.waiting():
        call = make_call(organization=organization)
        idempotency.hold(Promise(organization=organization, key="k", body_digest=""), call_id=call.pk)
    assert told == statements


def test_another_trouble_of_the_database_is_not_taken_for_a_wait() -> None:
    with pytest.raises(OperationalError, match="disk"), idempotency.waiting():
        raise OperationalError("disk I/O error")


def test_a_key_belongs_to_an_organization(
    organization: Organization, other_organization: Organization, persona_version: PersonaVersion
) -> None:
    ask(organization, key="k", consent=None)
    theirs = make_call(organization=other_organization, line=LineKind.SANDBOX).persona_version
    assert not ask(other_organization, key="k", persona=theirs.slug, consent=None).replayed


def test_a_key_keeps_nothing_that_shows_a_number(organization: Organization) -> None:
    ask(organization, key="k", consent=None)
    with connection.cursor() as cursor:
        cursor.execute("SELECT body_digest, answer FROM calls_idempotencyrecord")
        assert "910000001" not in str(cursor.fetchone())
    assert str(IdempotencyRecord.objects.get()) == "k"
    assert an_order(consent=None).digest() != an_order(consent=None, phone_number=pt_mobile(2)).digest()

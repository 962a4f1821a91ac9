"""Keys, members, organizations and users in the admin: what staff do there."""

from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.urls import reverse

from accounts import api_keys
from accounts.models import ApiKey, Membership, Organization, Role, User
from tests.conftest import Login
from tests.factories import PASSWORD, MembershipFactory


def messages(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def field_errors(answer: Any) -> dict[str, list[str]]:
    return dict(answer.context["adminform"].form.errors)


def key_form(organization: Organization, **fields: Any) -> dict[str, Any]:
    values = {"organization": organization.pk, "name": "loja", "scopes": ["calls:read"], "expires_at_0": "", "expires_at_1": ""}
    return values | {"consent_purpose": "", "consent_basis": "", "consent_text_version": ""} | fields


ADD_KEY = "/admin/accounts/apikey/add/"
DECLARED = {"consent_purpose": "marketing", "consent_basis": "form", "consent_text_version": "1"}


def test_a_key_is_shown_once(alice: User, organization: Organization, login: Login) -> None:
    client = login(alice)
    answer = client.post(ADD_KEY, key_form(organization))
    raw = answer.context["raw_key"]
    key = ApiKey.objects.get()
    assert (answer.status_code, "no-store" in answer["Cache-Control"].split(", ")) == (200, True)
    assert f'value="{raw}"' in answer.content.decode()
    assert api_keys.authenticate(raw) == key
    assert (key.created_by, key.scopes, api_keys.declaration_of(key)) == (alice, ["calls:read"], None)
    for path in (reverse("admin:accounts_apikey_change", args=[key.pk]), reverse("admin:accounts_apikey_changelist"), "/admin/"):
        assert raw not in client.get(path).content.decode()


def test_a_key_with_a_declaration_says_who_declared(alice: User, organization: Organization, login: Login) -> None:
    login(alice).post(ADD_KEY, key_form(organization, **DECLARED))
    key = ApiKey.objects.get()
    assert (key.consent_purpose, key.consent_declared_by) == ("marketing", alice)


def test_what_is_missing_in_a_declaration_is_said_at_the_field(alice: User, organization: Organization, login: Login) -> None:
    answer = login(alice).post(ADD_KEY, key_form(organization, consent_basis="form"))
    assert set(field_errors(answer)) == {"consent_purpose", "consent_text_version"}
    assert not ApiKey.objects.exists()


def test_an_expiry_in_the_past_is_said_at_the_field(alice: User, organization: Organization, login: Login) -> None:
    answer = login(alice).post(ADD_KEY, key_form(organization, expires_at_0="2020-01-01", expires_at_1="00:00:00"))
    assert set(field_errors(answer)) == {"expires_at"}


def test_a_key_needs_a_scope_that_there_is(alice: User, organization: Organization, login: Login) -> None:
    assert set(field_errors(login(alice).post(ADD_KEY, key_form(organization, scopes=["all"])))) == {"scopes"}
    assert set(field_errors(login(alice).post(ADD_KEY, key_form(organization, scopes=[])))) == {"scopes"}


def test_of_a_key_the_name_and_the_declaration_change_and_nothing_else(alice: User, api_key: ApiKey, login: Login) -> None:
    before = ApiKey.objects.values("digest", "prefix", "scopes", "organization", "created_by").get()
    path = reverse("admin:accounts_apikey_change", args=[api_key.pk])
    fields = {"name": "novo", "scopes": [], "digest": "x", "organization": 0, **DECLARED}
    assert login(alice).post(path, fields).status_code == 302
    api_key.refresh_from_db()
    assert (api_key.name, api_key.consent_purpose) == ("novo", "marketing")
    assert ApiKey.objects.values("digest", "prefix", "scopes", "organization", "created_by").get() == before


def test_a_key_is_revoked_on_a_page_that_asks_first(alice: User, api_key: ApiKey, login: Login) -> None:
    client = login(alice)
    path = reverse("admin:accounts_apikey_revoke", args=[api_key.pk])
    assert client.get(path).context["title"] == "Revoke the key “site”?"
    api_key.refresh_from_db()
    assert api_key.revoked_at is None
    assert messages(client.post(path, follow=True)) == ["The key is revoked."]
    api_key.refresh_from_db()
    assert api_key.revoked_at is not None
    assert client.post(path).status_code == 403


def test_the_list_says_which_keys_open_something(alice: User, organization: Organization, api_key: ApiKey, login: Login) -> None:
    client = login(alice)
    path = reverse("admin:accounts_apikey_changelist")
    page = client.get(path).context["cl"].model_admin
    with time_machine.travel("2026-01-01T00:00:00Z", tick=False):
        expired, _raw = api_keys.issue(by=alice, organization=organization, name="old", scopes=[], expires_at=_at("2026-01-02"))
    revoked, _raw = api_keys.issue(by=alice, organization=organization, name="gone", scopes=[])
    api_keys.revoke(by=alice, key=revoked)
    assert [page.state(key)[0] for key in (api_key, expired, revoked)] == ["active", "expired", "revoked"]
    assert [page.what_it_may(key) for key in (api_key, expired)] == ["read calls, start and cancel calls", "–"]
    text = client.get(reverse("admin:accounts_apikey_change", args=[expired.pk])).content.decode()
    assert "expired" in text


def _at(day: str) -> Any:
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


# --- Members ------------------------------------------------------------------------------------------------------------------

ADD_MEMBER = "/admin/accounts/membership/add/"


def test_a_member_is_added_by_e_mail(alice: User, carla: User, organization: Organization, login: Login) -> None:
    client = login(alice)
    for email in ("new@example.com", carla.email.upper()):
        answer = client.post(ADD_MEMBER, {"organization": organization.pk, "email": email, "role": "operator"})
        assert answer.status_code == 302
    added = Membership.objects.filter(organization=organization, role=Role.OPERATOR)
    assert sorted(membership.user.email for membership in added) == ["carla@example.com", "new@example.com"]


def test_a_member_is_not_added_twice(alice: User, bob: User, organization: Organization, login: Login) -> None:
    answer = login(alice).post(ADD_MEMBER, {"organization": organization.pk, "email": " BOB@example.com", "role": "owner"})
    assert field_errors(answer) == {"email": ["This person is a member already."]}
    answer = login(alice).post(ADD_MEMBER, {"organization": organization.pk, "email": "nobody", "role": "owner"})
    assert set(field_errors(answer)) == {"email"}


def test_a_members_role_changes_and_the_person_does_not(alice: User, bob: User, login: Login) -> None:
    of_bob = Membership.objects.get(user=bob)
    path = reverse("admin:accounts_membership_change", args=[of_bob.pk])
    assert login(alice).post(path, {"role": "auditor", "user": alice.pk}).status_code == 302
    of_bob.refresh_from_db()
    assert (of_bob.role, of_bob.user) == ("auditor", bob)


def test_a_member_leaves(alice: User, bob: User, login: Login) -> None:
    of_bob = Membership.objects.get(user=bob)
    path = reverse("admin:accounts_membership_delete", args=[of_bob.pk])
    assert str(of_bob) in login(alice).get(path).content.decode()
    assert login(alice).post(path, {"post": "yes"}).status_code == 302
    assert not Membership.objects.filter(user=bob).exists()


def test_the_last_owner_is_told_why_he_stays(alice: User, membership: Membership, login: Login) -> None:
    client = login(alice)
    said = "An organization needs an owner: make somebody else one first."
    change = reverse("admin:accounts_membership_change", args=[membership.pk])
    assert messages(client.post(change, {"role": "auditor"}, follow=True)) == [said]
    delete = reverse("admin:accounts_membership_delete", args=[membership.pk])
    assert messages(client.post(delete, {"post": "yes"}, follow=True)) == [said]
    membership.refresh_from_db()
    assert membership.role == Role.OWNER


MEMBERS = "/admin/accounts/membership/"


def test_adding_somebody_by_e_mail_does_not_tell_their_name(alice: User, carla: User, organization: Organization, login: Login) -> None:
    User.objects.filter(pk=carla.pk).update(name="C. Oliveira")
    client = login(alice)
    client.post(ADD_MEMBER, {"organization": organization.pk, "email": carla.email, "role": "operator"})
    added = Membership.objects.get(organization=organization, user=carla)
    pages = [client.get(path).content.decode() for path in (MEMBERS, f"{MEMBERS}{added.pk}/change/", f"{MEMBERS}{added.pk}/delete/")]
    assert [("carla@example.com" in page.lower(), "Oliveira" in page) for page in pages] == [(True, False)] * 3


@pytest.mark.parametrize(("searched", "found"), [("Doe", 0), ("carla@", 1)])
def test_a_stranger_is_not_found_by_name(
    alice: User, carla: User, organization: Organization, login: Login, searched: str, found: int
) -> None:
    User.objects.filter(pk=carla.pk).update(name="Carla Doe")
    MembershipFactory(organization=organization, user=carla, role=Role.OPERATOR)
    assert login(alice).get(MEMBERS, {"q": searched}).context["cl"].result_count == found


def test_the_platforms_list_names_people(platform_admin: User, alice: User, organization: Organization, login: Login) -> None:
    MembershipFactory(organization=organization, user__name="", user__email="x@example.com", role=Role.AUDITOR)
    listed = login(platform_admin).get(MEMBERS, {"q": "Alice"}).context["cl"]
    assert (listed.result_count, "person" in listed.list_display) == (1, True)
    assert sorted(listed.model_admin.person(membership) for membership in Membership.objects.all()) == ["Alice", "–"]


# --- Organizations ------------------------------------------------------------------------------------------------------------


def test_the_platform_makes_an_organization(platform_admin: User, login: Login) -> None:
    fields = {"name": "Casa", "slug": "casa", "of_organization": "da Casa", "locale": "pt-BR"}
    assert login(platform_admin).post("/admin/accounts/organization/add/", fields).status_code == 302
    made = Organization.objects.get(slug="casa")
    assert (made.locale, made.phone_line, made.personas_seeded_at) == ("pt-BR", False, None)


def test_an_owner_names_the_organization_and_opens_nothing(alice: User, organization: Organization, login: Login) -> None:
    path = reverse("admin:accounts_organization_change", args=[organization.pk])
    fields = {"name": "Novo", "of_organization": "do Novo", "locale": "pt-PT", "slug": "x", "is_demo": "on", "phone_line": "on"}
    assert login(alice).post(path, fields).status_code == 302
    organization.refresh_from_db()
    assert (organization.name, organization.slug, organization.is_demo, organization.is_active) == ("Novo", "taberna", False, True)
    assert organization.phone_line is False


def test_the_platform_opens_and_closes_the_line_on_pages_that_ask_first(
    platform_admin: User, organization: Organization, login: Login
) -> None:
    client = login(platform_admin)
    page = client.get(reverse("admin:accounts_organization_change", args=[organization.pk]))
    assert [action["path"].split("/")[-2] for action in page.context["actions_detail"]] == ["open-phone-line"]
    opening, closing = (reverse(f"admin:accounts_organization_{verb}_phone_line", args=[organization.pk]) for verb in ("open", "close"))
    assert client.get(opening).context["title"] == "Open the phone line for Taberna do Cais?"
    assert client.post(closing).status_code == 403
    assert messages(client.post(opening, follow=True)) == ["The phone line is open."]
    organization.refresh_from_db()
    assert (organization.phone_line, organization.phone_line_changed_by) == (True, platform_admin)
    assert client.get(closing).context["is_danger"] is True
    assert messages(client.post(closing, follow=True)) == ["The phone line is closed."]
    organization.refresh_from_db()
    assert organization.phone_line is False


def test_an_owner_does_not_reach_the_lines_buttons(alice: User, organization: Organization, login: Login) -> None:
    client = login(alice)
    page = client.get(reverse("admin:accounts_organization_change", args=[organization.pk]))
    assert page.context["actions_detail"] == []
    assert client.post(reverse("admin:accounts_organization_open_phone_line", args=[organization.pk])).status_code == 403


def test_an_organization_is_not_deleted(platform_admin: User, organization: Organization, login: Login) -> None:
    path = reverse("admin:accounts_organization_delete", args=[organization.pk])
    assert login(platform_admin).post(path, {"post": "yes"}).status_code == 403


# --- Users --------------------------------------------------------------------------------------------------------------------


def test_users_are_the_platforms(alice: User, platform_admin: User, login: Login) -> None:
    for path in ("/admin/accounts/user/", "/admin/accounts/user/add/", reverse("admin:accounts_user_change", args=[alice.pk])):
        assert [login(user).get(path).status_code for user in (alice, platform_admin)] == [403, 200]
    path = reverse("admin:accounts_user_delete", args=[alice.pk])
    assert login(platform_admin).post(path, {"post": "yes"}).status_code == 403


def test_the_platform_makes_users_and_says_what_they_may(platform_admin: User, login: Login) -> None:
    client = login(platform_admin)
    fields = {"email": " Ana@Example.com", "name": "Ana", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert client.post("/admin/accounts/user/add/", fields).status_code == 302
    made = User.objects.get(email="ana@example.com")
    assert (made.check_password(PASSWORD), made.is_staff) == (True, False)
    path = reverse("admin:accounts_user_change", args=[made.pk])
    assert client.post(path, {"email": "ANA@example.com", "name": "Ana", "is_active": "on", "is_staff": "on"}).status_code == 302
    made.refresh_from_db()
    assert (made.email, made.is_staff, made.is_superuser) == ("ana@example.com", True, False)


@pytest.mark.parametrize("email", ["alice@example.com", "ALICE@example.com"])
def test_a_user_is_not_made_twice(alice: User, platform_admin: User, email: str, login: Login) -> None:
    fields = {"email": email, "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert "email" in field_errors(login(platform_admin).post("/admin/accounts/user/add/", fields))
    assert User.objects.filter(email__iexact=email).count() == 1

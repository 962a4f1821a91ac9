"""Alice, Bob and Carla in the admin: nobody sees, chooses or changes anything of another organization."""

import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin import AdminSite, RelatedOnlyFieldListFilter
from django.contrib.admin.filters import RelatedFieldListFilter, SimpleListFilter
from django.contrib.auth.models import AnonymousUser, Group, Permission
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.urls import reverse

from accounts.admin_scope import PlatformAdmin, ScopedAdmin, ScopedTabularInline
from accounts.models import ApiKey, Membership, Organization, Role, User
from accounts.permissions import Action
from contacts.models import Suppression
from personas.models import Persona, PersonaVersion
from tests.conftest import Login
from tests.factories import MembershipFactory, published_version

MODELS = ["accounts_organization", "accounts_membership", "accounts_apikey", "personas_persona", "personas_personaversion"]


@pytest.fixture
def of_carla(carla: User, other_organization: Organization) -> dict[str, Any]:
    """One row of each kind in Carla's organization, with names that nobody else's have."""
    version = published_version(organization=other_organization, slug="segredo", name="Segredo de Carla")
    return {
        "accounts_organization": other_organization,
        "accounts_membership": Membership.objects.get(user=carla),
        "accounts_apikey": ApiKey.objects.create(organization=other_organization, name="chave de Carla", digest="x" * 64, created_by=carla),
        "personas_persona": version.persona,
        "personas_personaversion": version,
    }


HERS = re.compile(r"Clínica das Oliveiras|carla@|chave de Carla|Segredo de Carla")


def request_of(user: User | AnonymousUser) -> HttpRequest:
    request = RequestFactory().get("/")
    request.user = user
    return request


def page(client: Client, path: str) -> tuple[int, str]:
    answer = client.get(path)
    return answer.status_code, answer.content.decode()


def test_every_page_of_the_admin_is_scoped_or_the_platforms() -> None:
    loose = [model for model, page in admin.site._registry.items() if not isinstance(page, ScopedAdmin | PlatformAdmin)]
    assert loose == []


@pytest.mark.parametrize("model", MODELS)
def test_carla_sees_her_rows(model: str, of_carla: dict[str, Any], carla: User, login: Login) -> None:
    status, text = page(login(carla), reverse(f"admin:{model}_changelist"))
    assert (status, bool(HERS.search(text))) == (200, True)
    assert page(login(carla), reverse(f"admin:{model}_change", args=[of_carla[model].pk]))[0] == 200


@pytest.mark.parametrize("model", MODELS)
def test_alice_sees_none_of_carlas_rows(model: str, of_carla: dict[str, Any], alice: User, api_key: ApiKey, login: Login) -> None:
    published_version(organization=api_key.organization, slug="loja")
    for query in ("", "?q=Carla", "?q=Segredo", "?q=Clínica", f"?organization__id__exact={of_carla['accounts_organization'].pk}"):
        _status, text = page(login(alice), reverse(f"admin:{model}_changelist") + query)
        assert HERS.findall(text) == []


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("verb", ["change", "delete", "history"])
def test_carlas_row_is_answered_as_one_that_is_not_there(
    model: str, verb: str, of_carla: dict[str, Any], alice: User, login: Login
) -> None:
    client = login(alice)
    hers = reverse(f"admin:{model}_{verb}", args=[of_carla[model].pk])
    nobodys = reverse(f"admin:{model}_{verb}", args=[999_999])
    for answer in (client.get(hers), client.post(hers, {"post": "yes", "name": "taken"}), client.get(nobodys)):
        assert (answer.status_code, answer.headers.get("Location")) in ((302, "/admin/"), (403, None))
    assert [client.get(path).status_code for path in (hers, hers)] == [client.get(nobodys).status_code] * 2
    assert not HERS.search(page(client, "/admin/")[1])
    of_carla[model].refresh_from_db()
    assert getattr(of_carla[model], "name", "") != "taken"


@pytest.mark.parametrize(
    ("model", "verbs"),
    [
        ("accounts_organization", ["open_phone_line", "close_phone_line"]),
        ("accounts_apikey", ["revoke"]),
        ("personas_persona", ["place_call", "preview", "publish", "withdraw"]),
    ],
)
def test_actions_do_not_reach_carlas_rows(model: str, verbs: list[str], of_carla: dict[str, Any], alice: User, login: Login) -> None:
    for verb in verbs:
        for pk in (of_carla[model].pk, 999_999, "x"):
            path = reverse(f"admin:{model}_{verb}", args=[pk])
            assert [login(alice).get(path).status_code, login(alice).post(path).status_code] == [403, 403]


@pytest.mark.parametrize("model", ["accounts_membership", "accounts_apikey", "personas_persona"])
def test_only_ones_own_organization_can_be_chosen(model: str, of_carla: dict[str, Any], alice: User, login: Login) -> None:
    client = login(alice)
    path = reverse(f"admin:{model}_add")
    assert not HERS.search(page(client, path)[1])
    hers = of_carla["accounts_organization"].pk
    fields = {"organization": hers, "name": "x", "slug": "x", "email": "alice@example.com", "role": "owner", "scopes": "calls:read"}
    answer = client.post(path, fields)
    assert [error.code for error in answer.context["adminform"].form.errors.as_data()["organization"]] == ["invalid_choice"]
    assert not HERS.search(answer.content.decode())


def test_the_choices_of_a_filter_are_ones_own(of_carla: dict[str, Any], alice: User, bob: User, login: Login) -> None:
    two = MembershipFactory(user=alice, role=Role.AUDITOR).organization
    text = page(login(alice), reverse("admin:accounts_membership_changelist"))[1]
    assert two.name in text
    assert not HERS.search(text)


def test_autocomplete_finds_none_of_carlas_rows(of_carla: dict[str, Any], persona: Persona, alice: User, login: Login) -> None:
    query = {"app_label": "personas", "model_name": "personaversion", "field_name": "persona", "term": "e"}
    answer = login(alice).get(reverse("admin:autocomplete"), query)
    assert [row["text"] for row in answer.json()["results"]] == ["Restaurante"]


def test_a_platform_administrator_sees_both(of_carla: dict[str, Any], persona: Persona, platform_admin: User, login: Login) -> None:
    text = page(login(platform_admin), reverse("admin:personas_persona_changelist"))[1]
    assert "Segredo de Carla" in text
    assert "Restaurante" in text


def test_who_left_or_is_not_staff_sees_nothing(persona: Persona, bob: User, login: Login) -> None:
    path = reverse("admin:personas_persona_changelist")
    assert page(login(bob), path)[0] == 200
    Membership.objects.filter(user=bob).delete()
    assert page(login(bob), path)[0] == 403
    bob.is_staff = False
    bob.save()
    assert login(bob).get(path).status_code == 302


def test_in_an_inactive_organization_only_the_platform_sees_anything(
    persona: Persona, alice: User, platform_admin: User, organization: Organization, login: Login
) -> None:
    organization.is_active = False
    organization.save()
    path = reverse("admin:personas_persona_change", args=[persona.pk])
    assert [page(login(user), path)[0] for user in (alice, platform_admin)] == [403, 200]


# Pages that a role opens: list, change (page), add.
PAGES = {
    Role.OWNER: {"accounts_organization": (200, 200, 403), "accounts_membership": (200, 200, 200)}
    | dict.fromkeys(["accounts_apikey", "personas_persona"], (200, 200, 200)),
    Role.MANAGER: {"accounts_organization": (200, 200, 403), "accounts_membership": (200, 200, 403)}
    | dict.fromkeys(["accounts_apikey", "personas_persona"], (200, 200, 200)),
    Role.OPERATOR: {
        "accounts_organization": (200, 200, 403),
        "accounts_membership": (403, 403, 403),
        "accounts_apikey": (403, 403, 403),
        "personas_persona": (200, 200, 403),
    },
    Role.AUDITOR: dict.fromkeys(["accounts_organization", "accounts_membership", "accounts_apikey", "personas_persona"], (200, 200, 403)),
}
SAVES = {Role.OWNER: {"accounts_organization", "accounts_membership", "accounts_apikey", "personas_persona"}}
SAVES |= {Role.MANAGER: {"accounts_apikey", "personas_persona"}, Role.OPERATOR: set(), Role.AUDITOR: set()}


@pytest.mark.parametrize("bob_role", list(Role))
def test_a_role_opens_the_pages_that_it_may(
    bob_role: Role, bob: User, alice: User, membership: Membership, api_key: ApiKey, persona: Persona, login: Login
) -> None:
    rows = {"accounts_organization": persona.organization, "accounts_membership": membership}
    rows |= {"accounts_apikey": api_key, "personas_persona": persona}  # type: ignore[dict-item]
    client = login(bob)
    for model, row in rows.items():
        change = reverse(f"admin:{model}_change", args=[row.pk])
        paths = (reverse(f"admin:{model}_changelist"), change, reverse(f"admin:{model}_add"))
        assert (model, tuple(client.get(path).status_code for path in paths)) == (model, PAGES[bob_role][model])
        if PAGES[bob_role][model][1] == 200:
            assert (model, 'name="_save"' in page(client, change)[1]) == (model, model in SAVES[bob_role])
            assert (model, client.post(change, {}).status_code == 200) == (model, model in SAVES[bob_role])


# --- What no page of ours does, and the base must hold all the same ---------------------------------------------------------


class GlobalRows(ScopedAdmin):
    view_action = change_action = Action.VIEW_SUPPRESSIONS


def test_a_row_that_binds_every_organization_is_the_platforms(alice: User, platform_admin: User) -> None:
    row = Suppression.objects.create(organization=None, number_index="x", reason="staff", by="user:1")
    pages = GlobalRows(Suppression, AdminSite())
    assert [list(pages.get_queryset(request_of(user))) for user in (alice, platform_admin)] == [[], [row]]
    assert [pages.has_view_permission(request_of(user), row) for user in (alice, platform_admin)] == [False, True]
    assert pages.organization_of(row) is None


def test_a_way_that_ends_early_leads_to_no_organization(api_key: ApiKey) -> None:
    class OfItsOrganizations(ScopedAdmin):
        organization_path = "organization__organization"

    assert OfItsOrganizations(Suppression, AdminSite()).organization_of(Suppression(organization=None)) is None


def test_a_page_without_a_view_action_shows_nothing_to_anybody(platform_admin: User, persona: Persona) -> None:
    pages = ScopedAdmin(Persona, AdminSite())
    request = request_of(platform_admin)
    assert list(pages.get_queryset(request)) == []
    assert [pages.has_module_permission(request), pages.has_delete_permission(request, persona)] == [False, False]


def test_ticking_a_row_is_not_being_allowed_to_act_on_it(alice: User, platform_admin: User, persona: Persona) -> None:
    audited = MembershipFactory(user=alice, role=Role.AUDITOR).organization
    published_version(organization=audited, slug="x")
    pages = admin.site._registry[Persona]
    assert isinstance(pages, ScopedAdmin)
    seen = pages.get_queryset(request_of(alice))
    assert seen.count() == 2
    assert list(pages.rows_that_may(request_of(alice), seen, Action.EDIT_PERSONAS)) == [persona]
    assert pages.rows_that_may(request_of(platform_admin), seen, Action.EDIT_PERSONAS).count() == 2


def test_a_row_that_one_only_sees_is_denied_to_an_action(bob: User, alice: User, persona: Persona) -> None:
    pages = admin.site._registry[Persona]
    assert isinstance(pages, ScopedAdmin)
    assert pages.row_or_denied(request_of(alice), str(persona.pk), Action.EDIT_PERSONAS) == persona
    with pytest.raises(PermissionDenied):
        pages.row_or_denied(request_of(bob), str(persona.pk), Action.EDIT_PERSONAS)


def test_rows_are_not_deleted_in_bulk(alice: User, persona: Persona) -> None:
    assert admin.site._registry[Persona].get_actions(request_of(alice)) == {}


def test_raw_ids_are_refused() -> None:
    class RawIds(ScopedAdmin):
        raw_id_fields = ("persona",)

    with pytest.raises(ImproperlyConfigured):
        RawIds(PersonaVersion, AdminSite())


class Named(SimpleListFilter):
    title = parameter_name = "named"


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("number", "number"),
        ("persona", ("persona", RelatedOnlyFieldListFilter)),
        ("persona__organization", ("persona__organization", RelatedOnlyFieldListFilter)),
        (("persona", RelatedOnlyFieldListFilter), ("persona", RelatedOnlyFieldListFilter)),
        (Named, Named),
        ("persona__slug", None),
        (("persona", RelatedFieldListFilter), None),
    ],
)
def test_filters_list_ones_own_rows_or_are_refused(item: Any, expected: Any, alice: User) -> None:
    class Filtered(ScopedAdmin):
        list_filter = (item,)

    pages = Filtered(PersonaVersion, AdminSite())
    if expected is None:
        with pytest.raises(ImproperlyConfigured):
            pages.get_list_filter(request_of(alice))
    else:
        assert pages.get_list_filter(request_of(alice)) == [expected]


def choices(field: Any, user: User, site: AdminSite | None = None) -> set[str]:
    class Choosing(ScopedAdmin):
        add_action = Action.MANAGE_KEYS

    pages = Choosing(field.model, site or admin.site)
    pick = pages.formfield_for_manytomany if field.many_to_many else pages.formfield_for_foreignkey
    form_field = pick(field, request_of(user))
    assert form_field is not None
    return {str(row) for row in form_field.queryset}


def test_people_to_choose_are_those_of_ones_organizations(
    alice: User, bob: User, carla: User, platform_admin: User, of_carla: dict[str, Any]
) -> None:
    field = Membership._meta.get_field("user")
    assert choices(field, alice) == {alice.email, bob.email}
    assert choices(field, bob) == set()
    assert choices(field, platform_admin) == {alice.email, bob.email, carla.email, platform_admin.email}


def test_rows_to_choose_are_those_of_their_own_page(alice: User, persona: Persona, of_carla: dict[str, Any], platform_admin: User) -> None:
    field = PersonaVersion._meta.get_field("persona")
    assert choices(field, alice) == {"Restaurante"}
    assert choices(field, platform_admin) == {"Restaurante", "Segredo de Carla"}
    # Without a page that says whose they are, there is nothing to choose.
    assert choices(field, alice, AdminSite()) == set()


def test_of_what_belongs_to_nobody_the_platform_alone_chooses(alice: User, platform_admin: User) -> None:
    Group.objects.create(name="all")
    field = User._meta.get_field("groups")
    assert (choices(field, alice), choices(field, platform_admin)) == (set(), {"all"})
    assert choices(User._meta.get_field("user_permissions"), alice) == set()
    assert Permission.objects.exists()


def test_forms_open_no_windows_on_other_rows(alice: User) -> None:
    pages = admin.site._registry[ApiKey]
    field = pages.formfield_for_dbfield(ApiKey._meta.get_field("organization"), request_of(alice))  # type: ignore[arg-type]
    assert [getattr(field.widget, f"can_{verb}_related") for verb in ("add", "change", "delete", "view")] == [False] * 4
    # A column that no form shows has no field.
    assert pages.formfield_for_dbfield(ApiKey._meta.pk, request_of(alice)) is None  # type: ignore[arg-type]


def test_rows_inside_a_page_are_chosen_as_the_page_allows(alice: User, bob: User, organization: Organization) -> None:
    class Members(ScopedTabularInline):
        model = Membership

    inline = Members(Organization, admin.site)
    offered = [inline.choices_for(Membership._meta.get_field("organization"), request_of(user)) for user in (alice, bob)]
    assert [list(organizations) for organizations in offered] == [[organization], []]


def test_nobody_may_do_anything_without_logging_in(persona: Persona) -> None:
    pages = admin.site._registry[Persona]
    assert pages.has_view_permission(request_of(AnonymousUser()), persona) is False
    assert pages.has_module_permission(request_of(AnonymousUser())) is False


def test_a_form_of_several_organizations_waits_for_a_choice(alice: User, organization: Organization) -> None:
    pages = admin.site._registry[Persona]
    assert pages.get_changeform_initial_data(request_of(alice)) == {"organization": organization.pk}
    MembershipFactory(user=alice)
    assert pages.get_changeform_initial_data(request_of(alice)) == {}

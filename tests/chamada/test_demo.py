"""The demo organization is made once, and what is there stays as it is."""

import json
import stat
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django import Settings

from accounts import api_keys, organizations
from accounts.api_keys import authenticate
from accounts.models import ApiKey, Organization, Role, User
from chamada import demo
from chamada.demo import Credentials

pytestmark = pytest.mark.django_db
SITE = "http://127.0.0.1:8000/"
PHONE = {"LIVEKIT_URL": "ws://127.0.0.1:1", "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "s" * 32, "SIP_TRUNK_ID": "ST_1"}


def fresh() -> Credentials:
    return demo.seed(Credentials.at(SITE))


def test_a_first_start_brings_login_personas_and_a_key_that_may_call() -> None:
    seeded = fresh()
    organization = Organization.objects.get(is_demo=True)
    user = User.objects.get(email=seeded.email)
    assert (user.is_superuser, user.is_staff, user.check_password(seeded.password or "")) == (True, True, True)
    assert [membership.role for membership in organization.memberships.all()] == [Role.OWNER]
    assert sorted(persona.slug for persona in organization.personas.exclude(published=None)) == ["clinica", "restaurante", "vendedor"]
    key = authenticate(seeded.api_key)
    assert (key.organization, sorted(key.scopes)) == (organization, ["calls:read", "calls:write"])
    assert api_keys.declaration_of(key) == demo.DECLARATION
    assert organization.phone_line is False


def test_a_second_start_says_the_same_and_adds_nothing() -> None:
    first = fresh()
    assert demo.seed(first) == first
    assert (User.objects.count(), Organization.objects.count(), ApiKey.objects.count()) == (1, 1, 1)


def test_a_key_that_was_revoked_is_followed_by_another() -> None:
    first = fresh()
    api_keys.revoke(by=User.objects.get(), key=ApiKey.objects.get())
    second = demo.seed(first)
    assert second.api_key != first.api_key
    assert authenticate(second.api_key).name == demo.KEY_NAME


def test_a_password_that_somebody_changed_is_kept_and_not_known() -> None:
    first = fresh()
    user = User.objects.get()
    user.set_password("chosen by a person")
    user.save()
    second = demo.seed(first)
    third = demo.seed(second)
    assert (second.password, third.password) == ("", "")
    user.refresh_from_db()
    assert user.check_password("chosen by a person")


def test_lost_credentials_are_followed_by_new_ones() -> None:
    first, second = fresh(), fresh()
    assert second.password not in (None, "", first.password)
    assert User.objects.get().check_password(second.password or "")


def test_the_demo_has_the_phone_line_when_livekit_is_configured(settings: Settings) -> None:
    fresh()
    assert demo.line() == "sandbox"
    for name, value in PHONE.items():
        setattr(settings, name, value)
    fresh()
    assert demo.line() == "phone"


def test_a_phone_line_that_staff_closed_stays_closed(settings: Settings) -> None:
    for name, value in PHONE.items():
        setattr(settings, name, value)
    first = fresh()
    organizations.close_phone_line(by=User.objects.get(), organization=Organization.objects.get())
    demo.seed(first)
    assert demo.line() == "sandbox"


def test_the_command_keeps_the_credentials_where_their_owner_alone_reads_them(tmp_path: Path) -> None:
    file = tmp_path / ".dev/credentials.json"
    out = StringIO()
    for site in ("http://127.0.0.1:8000/", "http://127.0.0.1:8001/"):
        call_command("seed_demo", "--migrate", "--site", site, "--credentials", str(file), stdout=out)
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    kept = json.loads(file.read_text())
    assert list(kept) == ["site", "admin", "email", "password", "api_key"]
    assert kept | {"line": "sandbox"} == second == first | {"site": "http://127.0.0.1:8001/", "admin": "http://127.0.0.1:8001/admin/"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", '{"password": "x"}'])
def test_an_unreadable_file_counts_for_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "credentials.json"
    file.write_text(text)
    assert demo.read(file, site=SITE) == Credentials.at(SITE)

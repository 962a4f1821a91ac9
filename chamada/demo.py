"""The demo organization that `dev.py run` starts with: its login, its personas and its API key, made once and kept."""

import json
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import urljoin

from django.db import transaction

from accounts import api_keys, organizations
from accounts.api_keys import Declaration
from accounts.exceptions import KeyRefused
from accounts.locales import Locale
from accounts.models import Organization, Scope, User
from accounts.purposes import Purpose
from calls.lines import default_line, phone_is_configured
from personas import seeding

EMAIL = "demo@chamada.example"
KEY_NAME = "dev.py"
# Whoever runs the demo calls their own phone, and says so once here.
DECLARATION = Declaration(purpose=Purpose.DEMO_CALL, basis="The developer calls their own number.", text_version="dev-1")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What `dev.py run` prints and keeps. `password` is None before it is known, and empty once somebody has changed it."""

    site: str
    admin: str
    email: str = EMAIL
    password: str | None = None
    api_key: str = ""

    @classmethod
    def at(cls, site: str) -> "Credentials":
        return cls(site=site, admin=urljoin(site, "admin/"))


def read(file: Path, *, site: str) -> Credentials:
    """What `file` kept of an earlier start, for `site`; of an unreadable file, nothing."""
    try:
        kept = json.loads(file.read_text())
        return replace(Credentials.at(site), password=str(kept["password"]), api_key=str(kept["api_key"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Credentials.at(site)


def write(credentials: Credentials, file: Path) -> None:
    """Keep them where only their owner reads them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600, exist_ok=False)
    part.write_text(json.dumps(asdict(credentials), indent=2) + "\n")
    part.replace(file)


@transaction.atomic
def seed(kept: Credentials) -> Credentials:
    """Bring the demo organization, its administrator, its personas and its key; what is there already stays as it is.

    `kept` is what an earlier start said; the answer says what is true now.
    """
    user, password = _administrator(kept.password)
    organization = Organization.objects.filter(is_demo=True).first() or organizations.create(
        by=user,
        name="Chamada.ai",
        slug="chamada",
        of_organization="da Chamada.ai",
        locale=Locale.PT_PT,
        is_demo=True,
        owner=user,
    )
    if organization.personas_seeded_at is None:
        seeding.seed(organization)
    # Once staff have opened or closed the line, it is theirs.
    if phone_is_configured() and organization.phone_line_changed_at is None:
        organizations.open_phone_line(by=user, organization=organization)
    return replace(kept, password=password, api_key=_api_key(kept.api_key, by=user, organization=organization))


def line() -> str:
    """The line that the demo organization's calls go to."""
    return str(default_line(Organization.objects.get(is_demo=True)))


def _administrator(password: str | None) -> tuple[User, str]:
    user = User.objects.filter(email=EMAIL).first() or User.objects.create_superuser(EMAIL, name="Demo")
    if user.has_usable_password() and password is not None:
        # Somebody who has changed the password keeps the new one, and we do not know it.
        return user, password if password and user.check_password(password) else ""
    password = secrets.token_urlsafe(12)
    user.set_password(password)
    user.save(update_fields=["password"])
    return user, password


def _api_key(raw: str, *, by: User, organization: Organization) -> str:
    try:
        if raw and api_keys.authenticate(raw).organization_id == organization.pk:
            return raw
    except KeyRefused:
        pass  # revoked, or of a database that is no more: the demo needs one that works
    _key, raw = api_keys.issue(by=by, organization=organization, name=KEY_NAME, scopes=Scope.values, consent=DECLARATION)
    return raw

"""API keys: making, changing, revoking them, and finding out whose one is."""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from .exceptions import (
    ExpiryInThePast,
    HalfADeclaration,
    KeyExpired,
    KeyOfAnInactiveOrganization,
    KeyRevoked,
    KeyUnknown,
    UnknownScope,
)
from .models import ApiKey, Organization, Scope, User
from .permissions import Action, check_may

SECRET_BYTES = 32
PREFIX_LENGTH = 12
# A busy key would else write its row at every request.
LAST_USED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Declaration:
    """A standing consent declaration (R1): staff say that everybody whom this key calls has agreed, to what, and how.

    `purpose` is one of `accounts.purposes.Purpose`, `basis` says how people agreed, `text_version` which text they saw.
    Raises HalfADeclaration when one of them is empty.
    """

    purpose: str
    basis: str
    text_version: str

    def __post_init__(self) -> None:
        if not (self.purpose and self.basis and self.text_version):
            raise HalfADeclaration


def issue(
    *,
    by: User,
    organization: Organization,
    name: str,
    scopes: Iterable[str],
    expires_at: datetime | None = None,
    consent: Declaration | None = None,
) -> tuple[ApiKey, str]:
    """Make a key, and give it with its row. The key is kept nowhere: what stands in the row is its digest.

    Raises NotAllowed, UnknownScope, ExpiryInThePast.
    """
    check_may(by, Action.MANAGE_KEYS, organization)
    scopes = list(dict.fromkeys(scopes))
    for scope in scopes:
        if scope not in Scope.values:
            raise UnknownScope(scope=scope)
    check_expiry(expires_at)
    raw = "chm_" + secrets.token_urlsafe(SECRET_BYTES)
    key = ApiKey(
        organization=organization,
        name=name,
        prefix=raw[:PREFIX_LENGTH],
        digest=_digest(raw),
        scopes=scopes,
        expires_at=expires_at,
        created_by=by,
    )
    _declare(key, by=by, consent=consent)
    key.save()
    return key, raw


def check_expiry(expires_at: datetime | None) -> None:
    """Raises ExpiryInThePast for a time that has passed; None is a key that does not expire."""
    if expires_at and expires_at <= timezone.now():
        raise ExpiryInThePast


@transaction.atomic
def change(*, by: User, key: ApiKey, name: str, consent: Declaration | None) -> None:
    """Give a key another name, or another declaration; who declares it, and when, is written anew only if it differs.

    Raises NotAllowed.
    """
    check_may(by, Action.MANAGE_KEYS, key.organization)
    stored = ApiKey.objects.select_for_update().get(pk=key.pk)
    stored.name = name
    if consent != declaration_of(stored):
        _declare(stored, by=by, consent=consent)
    stored.save(
        update_fields=["name", "consent_purpose", "consent_basis", "consent_text_version", "consent_declared_by", "consent_declared_at"]
    )
    key.refresh_from_db()


def revoke(*, by: User, key: ApiKey) -> None:
    """From now on the key opens nothing. Revoking again changes nothing. Raises NotAllowed."""
    check_may(by, Action.MANAGE_KEYS, key.organization)
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())
    key.refresh_from_db(fields=["revoked_at"])


def authenticate(raw: str) -> ApiKey:
    """The row of a key, with its organization and its maker. Raises KeyRefused, saying why.

    An organization's key goes on when its maker leaves: it is revoked by hand.
    """
    key = ApiKey.objects.select_related("organization", "created_by").filter(digest=_digest(raw)).first()
    now = timezone.now()
    if key is None:
        raise KeyUnknown
    if key.revoked_at:
        raise KeyRevoked
    if key.expires_at and key.expires_at <= now:
        raise KeyExpired
    if not key.organization.is_active:
        raise KeyOfAnInactiveOrganization
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - LAST_USED_EVERY)
    if key.last_used_at is None or key.last_used_at < now - LAST_USED_EVERY:
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
        key.last_used_at = now
    return key


def declaration_of(key: ApiKey) -> Declaration | None:
    """The key's standing consent declaration, if it has one."""
    if not key.consent_purpose:
        return None
    return Declaration(purpose=key.consent_purpose, basis=key.consent_basis, text_version=key.consent_text_version)


def _declare(key: ApiKey, *, by: User, consent: Declaration | None) -> None:
    key.consent_purpose = consent.purpose if consent else ""
    key.consent_basis = consent.basis if consent else ""
    key.consent_text_version = consent.text_version if consent else ""
    key.consent_declared_by = by if consent else None
    key.consent_declared_at = timezone.now() if consent else None


def _digest(raw: str) -> str:
    # 256 random bits need no salt and no slow hash.
    return hashlib.sha256(raw.encode()).hexdigest()

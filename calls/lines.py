"""Which line carries a call."""

from django.conf import settings

from accounts.models import Organization

from .exceptions import PhoneLineNotAvailable, PhoneLineNotConfigured, PhoneLineNotOpened
from .models import LineKind


def phone_is_configured() -> bool:
    """Whether this machine knows a LiveKit, and the trunk to dial through."""
    return bool(settings.LIVEKIT_URL and settings.LIVEKIT_API_KEY and settings.LIVEKIT_API_SECRET and settings.SIP_TRUNK_ID)


def check_may_use(organization: Organization, line: LineKind) -> None:
    """Raise PhoneLineNotConfigured or PhoneLineNotOpened when it is the phone line and the organization cannot have it."""
    if line == LineKind.SANDBOX:
        return
    if not phone_is_configured():
        raise PhoneLineNotConfigured
    if not organization.phone_line:
        raise PhoneLineNotOpened(organization=organization.name)


def may_use(organization: Organization, line: LineKind) -> bool:
    try:
        check_may_use(organization, line)
    except PhoneLineNotAvailable:
        return False
    return True


def default_line(organization: Organization) -> LineKind:
    """The phone line when the organization may use it, else the sandbox."""
    return LineKind.PHONE if may_use(organization, LineKind.PHONE) else LineKind.SANDBOX

"""An organization calls while it is active, and by phone while the phone line is open for it."""

from ..exceptions import OrganizationClosed, PhoneLineNotOpened
from .ask import Ask


def check_organization(ask: Ask) -> None:
    """Raise OrganizationClosed, or PhoneLineNotOpened when it is the phone line that was not opened, or was closed since."""
    if not ask.organization.is_active:
        raise OrganizationClosed
    # The sandbox needs no right to the phone line: there is nothing to say.
    if ask.refuses and not ask.organization.phone_line:
        raise PhoneLineNotOpened(organization=ask.organization.name)

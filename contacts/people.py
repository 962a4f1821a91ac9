"""People, as an organization knows them."""

from accounts.models import Organization

from .models import Contact
from .numbers import PhoneNumber, index_of


def know(*, organization: Organization, number: PhoneNumber, name: str = "") -> Contact:
    """The organization's contact with this number, made when there is none. A name that is given replaces the one on record."""
    contact, is_new = Contact.objects.get_or_create(
        organization=organization,
        number_index=index_of(number.e164),
        defaults={"number": number.e164, "country": number.country, "name": name},
    )
    if name and not is_new and contact.name != name:
        contact.name = name
        contact.save(update_fields=["name"])
    return contact

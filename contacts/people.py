"""People, as an organization knows them."""

from accounts.models import Organization

from .models import Contact
from .numbers import PhoneNumber, index_of


def know(*, organization: Organization, number: PhoneNumber, name: str = "") -> Contact:
    """The organization's contact with this number, made when there is none. A name that is given replaces the one on record.

    One statement for both; without a name that is given, the one on record is not read.
    """
    contact = Contact(organization=organization, number_index=index_of(number.e164), number=number.e164, country=number.country, name=name)
    Contact.objects.bulk_create(
        [contact],
        update_conflicts=True,
        unique_fields=["organization", "number_index"],
        # Something has to be written for the row to be told: its country, where there is no name.
        update_fields=["name" if name else "country"],
    )
    return contact

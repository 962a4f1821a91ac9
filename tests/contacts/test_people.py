"""Who a person is: one contact a number and organization."""

import pytest
from django.db import connection

from accounts.models import Organization
from contacts import numbers, people
from contacts.models import Contact
from tests.numbers import br_mobile, pt_mobile

pytestmark = pytest.mark.django_db


def test_a_number_is_one_person_however_it_is_typed(organization: Organization) -> None:
    first = people.know(organization=organization, number=numbers.parse(pt_mobile()), name="Ana")
    again = people.know(organization=organization, number=numbers.parse("00351 910 000 001"))
    on_record = Contact.objects.get()
    assert (first, again, on_record.name, on_record.country) == (on_record, on_record, "Ana", "PT")


def test_a_name_that_is_given_replaces_the_one_on_record(organization: Organization) -> None:
    people.know(organization=organization, number=numbers.parse(pt_mobile()), name="Ana")
    people.know(organization=organization, number=numbers.parse(pt_mobile()), name="Ana Sá")
    assert Contact.objects.get().name == "Ana Sá"


def test_two_organizations_know_a_person_each_for_itself(organization: Organization, other_organization: Organization) -> None:
    hers = people.know(organization=organization, number=numbers.parse(br_mobile()), name="Ana")
    theirs = people.know(organization=other_organization, number=numbers.parse(br_mobile()))
    assert hers != theirs
    assert theirs.name == ""


def test_the_database_sees_neither_number_nor_name(organization: Organization) -> None:
    people.know(organization=organization, number=numbers.parse(pt_mobile()), name="Ana")
    with connection.cursor() as cursor:
        cursor.execute("SELECT number, name FROM contacts_contact")
        number, name = cursor.fetchone()
    assert "910000001" not in number
    assert "Ana" not in name
    assert str(Contact.objects.get()) == "+351 9•• ••• 001"

import pytest
from django.contrib.auth import authenticate
from django.db import IntegrityError

from accounts.models import ApiKey, Membership, Organization, User
from tests.factories import PASSWORD, OrganizationFactory


@pytest.mark.django_db
def test_an_e_mail_address_is_one_person_however_it_is_written() -> None:
    made = User.objects.create_user(" Ana@Example.COM ", PASSWORD)
    assert (made.email, str(made)) == ("ana@example.com", "ana@example.com")
    assert authenticate(username="ANA@example.com", password=PASSWORD) == made
    with pytest.raises(IntegrityError):
        User.objects.bulk_create([User(email="ANA@example.com")])


@pytest.mark.django_db
def test_a_user_needs_an_e_mail_address() -> None:
    with pytest.raises(ValueError, match="needs an e-mail address"):
        User.objects.create_user("")


@pytest.mark.django_db
def test_a_superuser_uses_the_admin() -> None:
    made = User.objects.create_superuser("root@example.com", PASSWORD)
    assert (made.is_staff, made.is_superuser, made.is_active) == (True, True, True)
    assert User.objects.create_user("x@example.com").has_usable_password() is False


def test_rows_are_named_for_people_to_read(organization: Organization, membership: Membership, api_key: ApiKey) -> None:
    assert str(organization) == "Taberna do Cais"
    assert str(membership) == "alice@example.com · Taberna do Cais · owner"
    assert str(api_key) == f"site ({api_key.prefix}…)"
    assert [o.name for o in (OrganizationFactory(name="A"), organization)] == [o.name for o in Organization.objects.all()]

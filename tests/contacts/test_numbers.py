"""Phone numbers are understood as people type them, refused with a reason, and never shown whole."""

from zoneinfo import ZoneInfo

import pytest
from django.utils import translation

from contacts import exceptions, numbers
from contacts.numbers import NumberKind, PhoneNumber
from tests.numbers import br_mobile, pt_fixed, pt_mobile

MOBILE = PhoneNumber(pt_mobile(1), "PT", NumberKind.MOBILE)


@pytest.fixture(autouse=True)
def _in_english() -> object:
    with translation.override("en"):
        yield


@pytest.mark.parametrize(
    "typed",
    [
        "+351910000001",
        "+351 910 000 001",
        " +351-910-000-001 ",
        "+351 (910) 000.001",
        "00351 910 000 001",
        "+351\u00a0910\u2013000\u2013001",
        "\u202a+351910000001\u202c",
    ],
)
def test_a_number_is_understood_as_people_type_it(typed: str) -> None:
    assert numbers.parse(typed) == MOBILE


@pytest.mark.parametrize(
    ("number", "country", "kind"),
    [
        (pt_mobile(), "PT", NumberKind.MOBILE),
        (pt_fixed(), "PT", NumberKind.FIXED),
        (br_mobile(), "BR", NumberKind.MOBILE),
        ("+12015550123", "US", NumberKind.FIXED_OR_MOBILE),
    ],
)
def test_a_number_tells_its_country_and_kind(number: str, country: str, kind: NumberKind) -> None:
    assert numbers.parse(number) == PhoneNumber(number, country, kind)


@pytest.mark.parametrize(
    ("typed", "situation", "sentence"),
    [
        ("", exceptions.NumberMissing, "Say which number to call, with its country code: +351 912 345 678."),
        (" - ", exceptions.NumberMissing, "Say which number to call, with its country code: +351 912 345 678."),
        ("amanhã", exceptions.NotANumber, "A phone number is made of digits, spaces, dots, dashes and brackets, with a + in front."),
        ("+35191+000001", exceptions.NotANumber, "A phone number is made of digits, spaces, dots, dashes and brackets, with a + in front."),
        ("+٣٥١٩١٠٠٠٠٠٠١", exceptions.NotANumber, "A phone number is made of digits, spaces, dots, dashes and brackets, with a + in front."),
        ("910000001", exceptions.NoCountryCode, "The number needs its country code in front: +351 …."),
        ("11990000001", exceptions.NoCountryCode, "The number needs its country code in front: +55 11 …."),
        ("+999123456789", exceptions.UnknownCountryCode, "No country has the code that this number starts with."),
        ("+1", exceptions.TooShort, "The number is too short for any country."),
        ("+" + "3519" * 6, exceptions.TooLong, "The number is too long for any country."),
        ("+35191", exceptions.TooShort, "The number is too short for Portugal."),
        ("+55119", exceptions.TooShort, "The number is too short for Brazil."),
        ("+3519100000011", exceptions.TooLong, "The number is too long for Portugal."),
        ("+351000000000", exceptions.NotGivenOut, "This is not a valid number of Portugal."),
        ("+4912", exceptions.TooShort, "The number is too short for this country code."),
        ("+881612345678", exceptions.NoCountry, "This number belongs to no country. Only mobile and fixed phones are called."),
        ("+80012345678", exceptions.NoCountry, "This number belongs to no country. Only mobile and fixed phones are called."),
        ("+12001234567", exceptions.NotGivenOut, "This is not a valid number of this country code."),
        ("+351760100001", exceptions.NotAnOrdinaryPhone, "This is a premium-rate number. Only mobile and fixed phones are called."),
        ("+351808000001", exceptions.NotAnOrdinaryPhone, "This is a shared-cost number. Only mobile and fixed phones are called."),
        ("+351800000001", exceptions.NotAnOrdinaryPhone, "This is a toll-free number. Only mobile and fixed phones are called."),
        ("+351707000001", exceptions.NotAnOrdinaryPhone, "This is a universal-access number. Only mobile and fixed phones are called."),
        ("+5540040001", exceptions.NotAnOrdinaryPhone, "This is a shared-cost number. Only mobile and fixed phones are called."),
    ],
)
def test_a_number_that_cannot_be_called_says_why(typed: str, situation: type[exceptions.BadNumber], sentence: str) -> None:
    with pytest.raises(exceptions.BadNumber) as refusal:
        numbers.parse(typed)
    assert (type(refusal.value), str(refusal.value), refusal.value.code) == (situation, sentence, "number.bad")


def test_a_length_that_a_country_does_not_have_is_not_given_out() -> None:
    # Sweden has shorter and longer numbers, none of eleven digits.
    with pytest.raises(exceptions.NotGivenOut, match=r"^This is not a valid number of this country code\.$"):
        numbers.parse("+46" + "9" * 11)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (pt_mobile(678), "+351 9•• ••• 678"),
        (pt_fixed(1), "+351 2• ••• •001"),
        (br_mobile(7), "+55 1• •••••-•007"),
        ("not a number", "•••"),
    ],
)
def test_lists_and_logs_see_a_masked_number(number: str, shown: str) -> None:
    assert numbers.mask(number) == shown


def test_a_number_does_not_show_itself_in_a_traceback() -> None:
    assert repr(MOBILE) == "PhoneNumber(PT mobile)"


def test_one_number_has_one_index_and_another_has_another() -> None:
    assert numbers.index_of(pt_mobile(1)) == numbers.index_of(numbers.parse("00351 910 000 001").e164)
    assert numbers.index_of(pt_mobile(1)) != numbers.index_of(pt_mobile(2))


@pytest.mark.parametrize(
    ("number", "zone"),
    [
        (pt_mobile(), "Europe/Lisbon"),
        (pt_fixed(), "Europe/Lisbon"),
        ("+351291000001", "Atlantic/Madeira"),
        ("+351296000001", "Atlantic/Azores"),
        (br_mobile(), "America/Sao_Paulo"),
        ("+5568990000001", "America/Rio_Branco"),
        ("+5592990000001", "America/Manaus"),
        ("+5581990000001", "America/Recife"),
        ("+12015550123", "America/New_York"),
        ("+881612345678", "UTC"),
    ],
)
def test_the_likely_zone_of_a_number(number: str, zone: str) -> None:
    country = {"+351": "PT", "+55": "BR"}.get(number[:4] if number.startswith("+351") else number[:3], "")
    assert numbers.zone_of(PhoneNumber(number, country, NumberKind.MOBILE)) == ZoneInfo(zone)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("restaurante", "restaurante"),
        ("persona-12", "persona-12"),
        ("123456", "123456"),
        (pt_mobile(1), "•••"),
        ("+351 910 000 001", "•••"),
        ("Ana 91-000-0001!", "Ana •••!"),
    ],
)
def test_what_may_be_a_number_is_not_repeated(said: str, shown: str) -> None:
    assert numbers.without_numbers(said) == shown

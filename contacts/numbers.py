"""Phone numbers: read as people type them, kept as E.164, shown masked, looked up by a blind index (R13)."""

import re
from dataclasses import dataclass
from enum import StrEnum
from zoneinfo import ZoneInfo

import phonenumbers
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from phonenumbers import PhoneNumberFormat, PhoneNumberType, ValidationResult

from . import crypto, zones
from .exceptions import (
    BadNumber,
    NoCountry,
    NoCountryCode,
    NotAnOrdinaryPhone,
    NotANumber,
    NotGivenOut,
    NumberMissing,
    TooLong,
    TooShort,
    UnknownCountryCode,
)


class NumberKind(StrEnum):
    MOBILE = "mobile"
    FIXED = "fixed"
    FIXED_OR_MOBILE = "fixed_or_mobile"


CALLABLE = {
    PhoneNumberType.MOBILE: NumberKind.MOBILE,
    PhoneNumberType.FIXED_LINE: NumberKind.FIXED,
    PhoneNumberType.FIXED_LINE_OR_MOBILE: NumberKind.FIXED_OR_MOBILE,
}
# Calling these costs a premium or reaches nobody in particular (requirements §3).
NOT_CALLABLE = {
    PhoneNumberType.PREMIUM_RATE: _("premium-rate"),
    PhoneNumberType.SHARED_COST: _("shared-cost"),
    PhoneNumberType.TOLL_FREE: _("toll-free"),
    PhoneNumberType.UAN: _("universal-access"),
    PhoneNumberType.PERSONAL_NUMBER: _("personal-numbering"),
    PhoneNumberType.PAGER: _("pager"),
    PhoneNumberType.VOIP: _("internet-telephony"),
    PhoneNumberType.VOICEMAIL: _("voicemail"),
}
COUNTRIES = {"PT": _("Portugal"), "BR": _("Brazil")}
# In the place of the name of a country that nothing here translates.
THIS_CODE = _("this country code")
# What people put between digits; the dashes are those that phones and word processors insert.
SEPARATORS = re.compile(r"[\s.()/\-\u2010-\u2015\u00ad\u200e\u202a-\u202c]")
SHOWN_AT_THE_END = 3
# Seven digits are the shortest number with its area code that somebody could call.
LIKE_A_NUMBER = re.compile(r"\+?\d(?:[\s.()/_\-\u2010-\u2015]*\d){6,}")
# Satellites and services that belong to no country (+800, +870, +882 …): priced like none.
NO_COUNTRY = "001"


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A number that can be called: `e164` ("+351…"), the `country` it belongs to ("PT"), and what `kind` of phone it is."""

    e164: str
    country: str
    kind: NumberKind

    def __repr__(self) -> str:
        return f"PhoneNumber({self.country} {self.kind})"


def parse(raw: str) -> PhoneNumber:
    """The number that somebody typed, with its country code: spaces, dots, dashes, brackets and a leading 00 are understood.

    Raises a BadNumber that says what is wrong: missing, not a number, no country code, a code that no country has, too short,
    too long, not given out in its country, or not an ordinary phone.
    """
    text = SEPARATORS.sub("", raw)
    if not text:
        raise NumberMissing
    if not re.fullmatch(r"\+?[0-9]+", text):
        raise NotANumber
    if text.startswith("00"):
        text = "+" + text[2:]
    if not text.startswith("+"):
        raise NoCountryCode(example="+55 11 …" if len(text) > len("912345678") else "+351 …")
    number = _parsed(text)
    country = phonenumbers.region_code_for_country_code(number.country_code or 0)
    if country == NO_COUNTRY:
        raise NoCountry
    _check_length(number, COUNTRIES.get(country, THIS_CODE))
    country = phonenumbers.region_code_for_number(number) or country
    kind = phonenumbers.number_type(number)
    if kind in NOT_CALLABLE:
        raise NotAnOrdinaryPhone(kind=NOT_CALLABLE[kind])
    if kind not in CALLABLE:
        raise NotGivenOut(country=COUNTRIES.get(country, THIS_CODE))
    return PhoneNumber(phonenumbers.format_number(number, PhoneNumberFormat.E164), country, CALLABLE[kind])


def _parsed(text: str) -> phonenumbers.PhoneNumber:
    try:
        return phonenumbers.parse(text)
    except phonenumbers.NumberParseException as problem:
        # Raised from None: the library's own words hold what was typed.
        match problem.error_type:
            case phonenumbers.NumberParseException.INVALID_COUNTRY_CODE:
                raise UnknownCountryCode from None
            case phonenumbers.NumberParseException.TOO_LONG:
                raise TooLong(country=_("any country")) from None
            case _:
                raise TooShort(country=_("any country")) from None


def _check_length(number: phonenumbers.PhoneNumber, country: str | Promise) -> None:
    match phonenumbers.is_possible_number_with_reason(number):
        case ValidationResult.TOO_LONG:
            raise TooLong(country=country)
        case ValidationResult.TOO_SHORT | ValidationResult.IS_POSSIBLE_LOCAL_ONLY:
            raise TooShort(country=country)
        case ValidationResult.INVALID_LENGTH:
            raise NotGivenOut(country=country)


def mask(e164: str) -> str:
    """The number as lists and logs may show it: "+351 9•• ••• 678"."""
    try:
        code, *groups = phonenumbers.format_number(phonenumbers.parse(e164), PhoneNumberFormat.INTERNATIONAL).split(" ")
    except phonenumbers.NumberParseException:
        return "•••"
    national = " ".join(groups)
    return f"{code} {national[:1]}{re.sub('[0-9]', '•', national[1:-SHOWN_AT_THE_END])}{national[-SHOWN_AT_THE_END:]}"


def without_numbers(text: str) -> str:
    """`text` with "•••" in the place of whatever may be a phone number: seven digits or more, however they are separated."""
    return LIKE_A_NUMBER.sub("•••", text)


def index_of(e164: str) -> str:
    """The blind index that a number is looked up by."""
    return crypto.blind_index(e164)


def zone_of(number: PhoneNumber) -> ZoneInfo:
    """The time zone that the phone is most likely in, for what a persona says about the time; not for whether to call (R8)."""
    return zones.likely_zone(number.e164, number.country)


__all__ = ["BadNumber", "NumberKind", "PhoneNumber", "index_of", "mask", "parse", "without_numbers", "zone_of"]

"""What can be wrong with a number or with calling it, in the words that its reader gets. No sentence repeats the number (R13)."""

from accounts.refusals import Refusal


class ContactError(Refusal):
    """This person cannot be called."""

    code = "contact_error"


class BadNumber(ContactError):
    """This is not a phone number that can be called."""

    code = "number.bad"


class NumberMissing(BadNumber):
    """Say which number to call, with its country code: +351 912 345 678."""


class NotANumber(BadNumber):
    """A phone number is made of digits, spaces, dots, dashes and brackets, with a + in front."""


class NoCountryCode(BadNumber):
    """The number needs its country code in front: {example}."""


class UnknownCountryCode(BadNumber):
    """No country has the code that this number starts with."""


class NoCountry(BadNumber):
    """This number belongs to no country. Only mobile and fixed phones are called."""


class TooShort(BadNumber):
    """The number is too short for {country}."""


class TooLong(BadNumber):
    """The number is too long for {country}."""


class NotGivenOut(BadNumber):
    """This is not a valid number of {country}."""


class NotAnOrdinaryPhone(BadNumber):
    """This is a {kind} number. Only mobile and fixed phones are called."""


class Suppressed(ContactError):
    """This number asked not to be called."""

    code = "policy.do_not_call"


class ConsentEnded(ContactError):
    """The person's consent does not hold."""

    code = "policy.consent"


class ConsentRevoked(ConsentEnded):
    """The person took their consent back."""


class ConsentExpired(ConsentEnded):
    """The person's consent held until {until}."""


class ConsentNotYetGiven(ConsentEnded):
    """A consent cannot have been obtained in the future."""

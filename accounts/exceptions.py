"""What can be wrong with who asks, in the words that its reader gets."""

from .refusals import Refusal


class AccountError(Refusal):
    """It cannot be done."""

    code = "account_error"


class NotAllowed(AccountError):
    """You may not do this in {organization}."""

    code = "not_allowed"


class OnlyThePlatform(AccountError):
    """Only a platform administrator may do this."""

    code = "only_the_platform"


class KeyRefused(AccountError):
    """This API key cannot be used."""

    code = "invalid_key"


class KeyUnknown(KeyRefused):
    """There is no such API key."""


class KeyRevoked(KeyRefused):
    """This API key was revoked."""


class KeyExpired(KeyRefused):
    """This API key has expired."""


class KeyOfAnInactiveOrganization(KeyRefused):
    """The organization of this API key is not active."""


class UnknownScope(AccountError):
    """There is no scope “{scope}”."""

    code = "unknown_scope"


class ExpiryInThePast(AccountError):
    """The time at which the key expires has passed already."""

    code = "expiry_in_the_past"


class HalfADeclaration(AccountError):
    """A consent declaration needs all three: a purpose, a basis, and the version of the text that people agreed to."""

    code = "half_a_declaration"


class LastOwner(AccountError):
    """An organization needs an owner: make somebody else one first."""

    code = "last_owner"


class AlreadyAMember(AccountError):
    """This person is a member already."""

    code = "already_a_member"

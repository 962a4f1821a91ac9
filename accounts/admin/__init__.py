"""The staff's pages of people, organizations, members and keys."""

from .keys import ApiKeyAdmin
from .members import MembershipAdmin
from .organizations import OrganizationAdmin
from .users import UserAdmin

__all__ = ["ApiKeyAdmin", "MembershipAdmin", "OrganizationAdmin", "UserAdmin"]

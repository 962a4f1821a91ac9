"""What staff see of calls, of the requests for them, and of the lines."""

from .call import CallAdmin
from .mending import MendingAdmin
from .records import CallRequestAdmin, LineAdmin

__all__ = ["CallAdmin", "CallRequestAdmin", "LineAdmin", "MendingAdmin"]

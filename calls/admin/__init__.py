"""What staff see of calls, of the requests for them, and of the lines."""

from .call import CallAdmin
from .records import CallRequestAdmin, LineAdmin

__all__ = ["CallAdmin", "CallRequestAdmin", "LineAdmin"]

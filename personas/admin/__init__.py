"""The staff's pages of personas: the draft, its preview, and what was published."""

from .drafts import PersonaAdmin
from .versions import PersonaVersionAdmin

__all__ = ["PersonaAdmin", "PersonaVersionAdmin"]

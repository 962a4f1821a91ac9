"""The tools that a persona may have, by name: what staff choose from, and what every persona has (R5).

What a tool does stands in the agent worker; here is what people are shown of it.
"""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

LOOKUP_INFORMATION = "lookup_information"
TRANSFER_TO_HUMAN = "transfer_to_human"
REQUEST_CALLBACK = "request_callback"
END_CALL = "end_call"
REGISTER_OPT_OUT = "register_opt_out"
WRONG_NUMBER = "wrong_number"


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    title: str | Promise
    is_obligatory: bool


REGISTRY: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(LOOKUP_INFORMATION, _("looks up the facts"), is_obligatory=False),
        Tool(TRANSFER_TO_HUMAN, _("puts the call through to a person"), is_obligatory=False),
        Tool(REQUEST_CALLBACK, _("calls again at the hour that the person asks for"), is_obligatory=False),
        Tool(END_CALL, _("says goodbye and hangs up"), is_obligatory=True),
        Tool(REGISTER_OPT_OUT, _("takes the number off for good when asked to"), is_obligatory=True),
        Tool(WRONG_NUMBER, _("apologises for a wrong number and takes it off"), is_obligatory=True),
    )
}
OBLIGATORY = tuple(tool.name for tool in REGISTRY.values() if tool.is_obligatory)
OPTIONAL = tuple(tool.name for tool in REGISTRY.values() if not tool.is_obligatory)


def tools_for(chosen: list[str], *, has_facts: bool, transfer_available: bool) -> list[str]:
    """The tools of one call, in the registry's order: the obligatory ones, and those of `chosen` that can work on it."""
    works = {LOOKUP_INFORMATION: has_facts, TRANSFER_TO_HUMAN: transfer_available, REQUEST_CALLBACK: True}
    return [name for name, tool in REGISTRY.items() if tool.is_obligatory or (name in chosen and works[name])]

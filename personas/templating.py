"""Texts with `{{ name }}` in them. There is nothing else: no attributes, no calls, no conditions, and a bounded size.

What was filled in is never filled in again, so braces in a customer's name stay braces.
"""

import re
from collections.abc import Collection, Iterator, Mapping

from .exceptions import BrokenVariable, PromptTooLong, UnknownVariable

VARIABLE = re.compile(r"\{\{[ \t]*([A-Za-z_][A-Za-z0-9_]{0,63})[ \t]*\}\}")
_LOOKS_LIKE_A_TEMPLATE = re.compile(r"(?:\{\{|\{%|\{#|\}\}|%\}|#\}).{0,24}", re.DOTALL)

MAX_VALUE = 300
MAX_TEMPLATE = 8_000
# The Realtime API takes 16,384 tokens of instructions and tools together.
MAX_RENDERED = 40_000


def check_template(template: str, allowed: Collection[str], *, most: int = MAX_TEMPLATE) -> None:
    """Everything that could go wrong when the text is filled in with values of at most 300 characters.

    Raises UnknownVariable, BrokenVariable, PromptTooLong (more than `most` characters as it stands or filled in).
    """
    names = VARIABLE.findall(template)
    for name in names:
        if name not in allowed:
            raise UnknownVariable(name=name, known=", ".join(sorted(allowed)))
    if stray := _LOOKS_LIKE_A_TEMPLATE.search(VARIABLE.sub("", template)):
        raise BrokenVariable(piece=stray.group())
    longest = len(VARIABLE.sub("", template)) + len(names) * MAX_VALUE
    if (length := max(longest, len(template))) > most:
        raise PromptTooLong(length=length, most=most)


def pieces(template: str, variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The filled-in text in order, as (name of the variable or "", text). Raises UnknownVariable, PromptTooLong."""
    at = length = 0
    for match in VARIABLE.finditer(template):
        name = match.group(1)
        if name not in variables:
            raise UnknownVariable(name=name, known=", ".join(sorted(variables)))
        yield "", template[at : match.start()]
        yield name, variables[name]
        length += match.start() - at + len(variables[name])
        if length > MAX_RENDERED:
            raise PromptTooLong(length=length, most=MAX_RENDERED)
        at = match.end()
    yield "", template[at:]


def render(template: str, variables: Mapping[str, str]) -> str:
    """`template` with its variables filled in, once. Raises UnknownVariable, and PromptTooLong beyond 40,000 characters."""
    return "".join(text for _name, text in pieces(template, variables))

"""What every log line goes through before it is written: phone numbers and personal fields do not reach it (R13)."""

import re
from typing import Any

from structlog.typing import EventDict, WrappedLogger

# Where personal data may stand in a log call; our own code uses no other keys for it.
PERSONAL = frozenset(
    {"phone_number", "number", "to_number", "from_number", "customer_name", "name_given", "text", "transcript", "variables", "email", "ip"}
)
_DIGITS = r"[1-9](?:(?:[ .()\u00a0-]|%20){0,2}\d){7,14}"
# International numbers, also within a sentence of a library, an address or an exception's text: +351…, %2B351…, 00351…, in groups or not.
# The last is looked for between words alone, for ids have zeros too.
NUMBER = re.compile(rf"(?:\+|%2[Bb]){_DIGITS}(?!\d)|(?<![\w.-])00{_DIGITS}(?![\w-])")


def drop_personal_data(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """A structlog processor: personal fields lose their value, and what reads like a phone number its digits, however deep it stands."""
    for key, value in line.items():
        line[key] = _clean(value, key)
    return line


def _clean(value: Any, key: object = None) -> Any:
    if key in PERSONAL and value:
        return "•"
    if isinstance(value, str):
        return NUMBER.sub("+•", value)
    if isinstance(value, dict):
        return {_clean(name): _clean(inner, name) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(inner) for inner in value]
    return value

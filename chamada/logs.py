"""What every log line goes through before it is written: phone numbers and personal fields do not reach it (R13)."""

import re

from structlog.typing import EventDict, WrappedLogger

# Where personal data may stand in a log call; our own code uses no other keys for it.
PERSONAL = frozenset(
    {"phone_number", "number", "to_number", "from_number", "customer_name", "name_given", "text", "transcript", "variables", "email", "ip"}
)
# E.164, also within a sentence of a library or an exception's text.
NUMBER = re.compile(r"\+[1-9]\d{7,14}\b")


def drop_personal_data(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """A structlog processor: personal fields lose their value, and what reads like a phone number its digits."""
    for key, value in line.items():
        if key in PERSONAL and value:
            line[key] = "•"
        elif isinstance(value, str):
            line[key] = NUMBER.sub("+•", value)
    return line

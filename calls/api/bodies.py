"""Reads the body of a request: one JSON object of a reasonable length."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.http import HttpRequest, UnreadablePostError

from .problems import BodyNotJson, BodyNotReceived, BodyTooLong, LengthRequired, WrongContentType

# Levels of objects and lists within each other.
DEEPEST = 20


def check_length(request: HttpRequest) -> None:
    """Refuse a body for its length before a byte of it is read. Raises BodyTooLong, LengthRequired."""
    said = request.META.get("CONTENT_LENGTH") or ""
    if (request.META.get("HTTP_TRANSFER_ENCODING") and not said) or not re.fullmatch(r"[0-9]{0,18}", said):
        raise LengthRequired
    if int(said or 0) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        raise BodyTooLong(most=settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 1024)


def check_type(request: HttpRequest) -> None:
    """Refuse what does not say that it is JSON. Raises WrongContentType."""
    if request.content_type != "application/json":
        raise WrongContentType(content_type=request.content_type or "-")


def read_object(request: HttpRequest) -> dict[str, Any]:
    """The body as a JSON object that a database can keep. Raises BodyNotJson, BodyNotReceived."""
    try:
        body = json.loads(request.body, parse_constant=_refuse)
        for leaf in _leaves(body, DEEPEST):
            _check_can_be_kept(leaf)
    except UnreadablePostError:
        raise BodyNotReceived from None
    except (ValueError, RecursionError):
        # JSONDecodeError and UnicodeDecodeError are ValueErrors.
        raise BodyNotJson from None
    if not isinstance(body, dict):
        raise BodyNotJson
    return body


def _refuse(what: object) -> None:
    raise ValueError(what)


def _leaves(value: object, depth: int) -> Iterator[object]:
    if depth == 0:
        _refuse(depth)
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, depth - 1)
    else:
        yield value


def _check_can_be_kept(leaf: object) -> None:
    """PostgreSQL keeps no NUL, UTF-8 has no lone surrogates, and 1e400 is no number of a computer's."""
    if isinstance(leaf, str):
        if "\0" in leaf:
            _refuse(leaf)
        leaf.encode()  # a surrogate is a UnicodeEncodeError, which is a ValueError
    elif isinstance(leaf, float) and not math.isfinite(leaf):
        _refuse(leaf)

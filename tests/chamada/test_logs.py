"""No phone number and no personal field reaches a log line (R13)."""

import pytest
from structlog.typing import EventDict

from chamada.logs import drop_personal_data


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ({"event": "dialing", "call": "4b1c"}, {"event": "dialing", "call": "4b1c"}),
        ({"event": "dialing", "phone_number": "+351910000001"}, {"event": "dialing", "phone_number": "•"}),
        ({"event": "heard", "text": "Fala a Ana."}, {"event": "heard", "text": "•"}),
        ({"event": "INVITE sip:+351910000001@host"}, {"event": "INVITE sip:+•@host"}),
        (
            {"event": "failed", "exception": "ValueError: +5511990000001 is busy"},
            {"event": "failed", "exception": "ValueError: +• is busy"},
        ),
        ({"event": "called +351 910 000 001 twice"}, {"event": "called +• twice"}),
        ({"event": "called +351-910.000\u00a0001."}, {"event": "called +•."}),
        ({"event": "called +351 (910) 000 001, then 112"}, {"event": "called +•, then 112"}),
        ({"event": "called 00351910000001 and 00 351"}, {"event": "called +• and 00 351"}),
        ({"event": "GET /?to=%2B351910000001&x=%2b5511990000001"}, {"event": "GET /?to=+•&x=+•"}),
        (
            {"event": "asked", "body": {"to": ["+351910000001", {"text": "Sou a Ana."}], "+351910000002": 1, "tries": (1, "+351")}},
            {"event": "asked", "body": {"to": ["+•", {"text": "•"}], "+•": 1, "tries": [1, "+351"]}},
        ),
        (
            {"event": "ended", "call": "00123456-7890-4123-8123-001234567890", "at": "2026-11-23T18:00:00+00:00", "frames": 48_000},
            {"event": "ended", "call": "00123456-7890-4123-8123-001234567890", "at": "2026-11-23T18:00:00+00:00", "frames": 48_000},
        ),
        ({"event": "ended", "text": ""}, {"event": "ended", "text": ""}),
        ({"event": "ended", "duration_ms": 3517, "delta": "+350"}, {"event": "ended", "duration_ms": 3517, "delta": "+350"}),
    ],
)
def test_a_log_line_carries_no_personal_data(line: EventDict, written: EventDict) -> None:
    assert drop_personal_data(None, "info", line) == written

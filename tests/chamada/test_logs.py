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
        ({"event": "ended", "text": ""}, {"event": "ended", "text": ""}),
        ({"event": "ended", "duration_ms": 3517, "delta": "+350"}, {"event": "ended", "duration_ms": 3517, "delta": "+350"}),
    ],
)
def test_a_log_line_carries_no_personal_data(line: EventDict, written: EventDict) -> None:
    assert drop_personal_data(None, "info", line) == written

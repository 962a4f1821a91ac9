"""A job's log lines keep their fields on the way through the worker's pipe."""

import logging
import pickle
import sys
from collections.abc import Iterator

import pytest
import structlog

from agent_worker.job_process import write_logs_through_the_worker


class Kept(logging.Handler):
    """Formats and pickles records as livekit-agents' own handler does, and keeps what came of them."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        record.msg = self.format(record)
        record.args = record.exc_info = None
        self.records.append(pickle.loads(pickle.dumps(record)))


@pytest.fixture
def kept() -> Iterator[Kept]:
    """The handlers of a job process: Django's console, and the pipe."""
    before, level = logging.root.handlers, logging.root.level
    pipe = Kept()
    logging.root.handlers = [logging.StreamHandler(sys.stderr), pipe]
    logging.root.setLevel(logging.INFO)
    write_logs_through_the_worker()
    yield pipe
    logging.root.handlers = before
    logging.root.setLevel(level)


def test_the_console_that_would_write_each_line_twice_is_gone(kept: Kept) -> None:
    written = [type(handler) for handler in logging.root.handlers if type(handler) in (logging.StreamHandler, Kept)]
    assert written == [Kept]


def test_a_line_of_ours_keeps_its_fields(kept: Kept) -> None:
    structlog.stdlib.get_logger("ours").warning("call ends", call="c1", took_s=3)
    (record,) = kept.records
    fields = {name: value for name, value in dict(record.msg).items() if name != "timestamp"}  # type: ignore[arg-type]
    assert fields == {"event": "call ends", "call": "c1", "took_s": 3, "level": "warning", "logger": "ours"}


def test_a_traceback_goes_as_text(kept: Kept) -> None:
    try:
        raise ValueError("a wrong value")
    except ValueError:
        structlog.stdlib.get_logger("ours").exception("it broke")
    fields = dict(kept.records[0].msg)  # type: ignore[arg-type]
    assert "exc_info" not in fields
    assert fields["exception"].endswith("ValueError: a wrong value")


def test_a_librarys_line_goes_as_its_text(kept: Kept) -> None:
    logging.getLogger("theirs").info("%s processes", 2)
    assert [record.msg for record in kept.records] == ["2 processes"]

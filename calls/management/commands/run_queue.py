"""`manage.py run_queue`: do what is due, until told to stop."""

import os
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ... import lines, queue_worker


class Command(BaseCommand):
    help = (
        "Dial what is due, end what nobody could dial, and do the rest of the background work. Several may run at once. "
        "SIGTERM lets what is under way end; a second one stops at once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--idle", type=float, default=queue_worker.IDLE_S, metavar="SECONDS", help="how long to rest at most when nothing is due"
        )

    def handle(self, *, idle: float, **options: Any) -> None:
        stop = threading.Event()

        def told(*_: object) -> None:
            if stop.is_set():
                _end_at_once()
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, told)
        line = "the phone line" if lines.phone_is_configured() else "no phone line: LiveKit or its trunk is not configured"
        self.stdout.write(f"queue worker ready ({line})")
        self.stdout.flush()
        if not queue_worker.run(stop, idle_s=idle):
            _end_at_once()
        self.stdout.write("queue worker stopped")


def _end_at_once() -> None:
    # Python would wait for every thread; what is broken off here is a row, and the next worker goes on with it.
    os._exit(1)

"""`manage.py run_queue`: do what is due, until told to stop."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ... import lines, queue_worker


class Command(BaseCommand):
    help = "Dial what is due, end what nobody could dial, and do the rest of the background work. Several may run at once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--idle", type=float, default=queue_worker.IDLE_S, metavar="SECONDS", help="how long to rest at most when nothing is due"
        )

    def handle(self, *, idle: float, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        line = "the phone line" if lines.phone_is_configured() else "no phone line: LiveKit or its trunk is not configured"
        self.stdout.write(f"queue worker ready ({line})")
        self.stdout.flush()
        queue_worker.run(stop, idle_s=idle)
        self.stdout.write("queue worker stopped")

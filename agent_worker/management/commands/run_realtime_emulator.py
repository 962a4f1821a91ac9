"""manage.py run_realtime_emulator: the Realtime emulator as a process of its own."""

import asyncio
import signal
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agent_worker.realtime_emulator import Emulator, ScriptError, load_scripts


class Command(BaseCommand):
    """Serves until SIGINT or SIGTERM."""

    help = "Serves an emulator of the OpenAI Realtime API on this machine: scripted conversations, a rule-based mind, faults."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
        parser.add_argument("--port", type=int, default=8123, help="port to listen on; 0 takes any free one (default 8123)")
        parser.add_argument("--scripts", type=Path, help="a directory of scripts (*.yaml) beside the built-in ones")
        parser.add_argument("--default", default="mind", help="the script of keys that name none (default mind)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            scripts = load_scripts() | (load_scripts(options["scripts"]) if options["scripts"] else {})
        except ScriptError as error:
            raise CommandError(str(error)) from error
        if options["default"] not in scripts:
            raise CommandError(f"There is no script {options['default']!r}; there are {', '.join(sorted(scripts))}.")
        emulator = Emulator(options["host"], options["port"], scripts[options["default"]], scripts)
        try:
            asyncio.run(self._serve(emulator))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise CommandError(f"Cannot listen on {options['host']}:{options['port']}: {reason.rstrip('.')}.") from error

    async def _serve(self, emulator: Emulator) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with emulator:
            self.stdout.write(f"The Realtime emulator listens on {emulator.url} (keys: sk-emu-<script>).")
            self.stdout.flush()
            await stop.wait()
        self.stdout.write("The Realtime emulator has stopped.")

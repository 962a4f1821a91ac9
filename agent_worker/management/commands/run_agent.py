"""`manage.py run_agent`: the agent worker, until SIGTERM."""

import asyncio
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = (
        "Carry calls: on the sandbox line, and on the phone line where LiveKit is configured. "
        "SIGTERM lets the running calls end and takes no new one; a second one breaks them off."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        for option, default, what in (
            ("--max-calls", settings.AGENT_MAX_CALLS, "calls at once on the phone line"),
            ("--idle", settings.AGENT_IDLE_PROCESSES, "processes that wait for a call"),
            ("--health-port", settings.AGENT_HEALTH_PORT, "port of /healthz on 127.0.0.1; 0 takes a free one"),
            ("--metrics-port", settings.AGENT_METRICS_PORT, "port of /metrics on 127.0.0.1; 0 takes a free one"),
            ("--drain-timeout", settings.AGENT_DRAIN_TIMEOUT_S, "seconds that running calls get to end"),
        ):
            parser.add_argument(option, type=int, default=default, metavar="N", help=f"{what} (default: {default})")

    def handle(self, *, max_calls: int, idle: int, health_port: int, metrics_port: int, drain_timeout: int, **options: Any) -> None:
        # The library is loaded here alone: no other command pays two seconds and 100 MB for it. The bootstrap sets its environment.
        from agent_worker import bootstrap  # noqa: F401
        from agent_worker.preflight import CannotStart
        from agent_worker.worker import Options, Worker

        chosen = Options(max_calls=max_calls, idle=idle, health_port=health_port, metrics_port=metrics_port, drain_timeout_s=drain_timeout)
        try:
            asyncio.run(Worker(chosen).run())
        except CannotStart as why:
            raise CommandError(str(why)) from why

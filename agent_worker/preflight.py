"""What must be right before the worker takes a call. Each thing that can be wrong is one sentence."""

import asyncio

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from agent_worker import job_process
from calls.exceptions import FailureKind, GatewayError
from calls.gateway import Gateway

LIVEKIT_SAYS = {FailureKind.KEY_REFUSED: "it refuses the key", FailureKind.AMBIGUOUS: "it does not answer"}


class CannotStart(Exception):
    """The agent worker cannot start."""

    def __init__(self, **facts: object) -> None:
        super().__init__((self.__doc__ or "").format(**facts))


class DatabaseAway(CannotStart):
    """The database cannot be used: {reason}. Check DATABASE_URL and that the server runs."""


class NotMigrated(CannotStart):
    """The database lacks {count} migrations: run `manage.py migrate`."""


class LiveKitRefuses(CannotStart):
    """LiveKit cannot be used: {reason}. Check LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET."""


class NoModelKey(CannotStart):
    """OPENAI_API_KEY is not set: on the phone line the persona would have no voice."""


class JobProcessBroken(CannotStart):
    """A job process cannot start: {reason}."""


class NotRegistered(CannotStart):
    """LiveKit answers, but did not register this worker within {seconds:g} s."""


class ConnectionLost(CannotStart):
    """The worker's connection to LiveKit cannot be made: {reason}."""


class PortTaken(CannotStart):
    """Port {port} on 127.0.0.1 cannot be used ({reason}): choose another with {option}."""


def check_database() -> None:
    """Raises DatabaseAway, NotMigrated."""
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        raise DatabaseAway(reason=str(error).strip().splitlines()[0].rstrip(".")) from error
    if missing:
        raise NotMigrated(count=len(missing))


async def check_livekit(gateway: Gateway) -> None:
    """Raises LiveKitRefuses."""
    try:
        await gateway.check_connection()
    except GatewayError as error:
        reason = LIVEKIT_SAYS.get(error.kind, f"{error.kind} {error.said}".strip())
        raise LiveKitRefuses(reason=reason) from error


async def check_job_process() -> None:
    """Raises JobProcessBroken. A worker whose job processes die would register all the same, and start them ten times a second."""
    if wrong := await asyncio.to_thread(job_process.prove_that_one_starts):
        raise JobProcessBroken(reason=wrong.rstrip("."))


async def check(*, gateway: Gateway | None) -> None:
    """All that the worker needs, with LiveKit when there is a `gateway` to it. Raises CannotStart."""
    await sync_to_async(check_database)()
    if gateway is None:
        return
    if not settings.OPENAI_API_KEY:
        raise NoModelKey
    await check_livekit(gateway)
    await check_job_process()

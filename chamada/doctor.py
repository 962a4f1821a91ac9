"""What `manage.py doctor` looks at: each check is one line, what is wrong and what to do."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import httpx2
from django.conf import settings
from django.core import checks
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from calls.alarms import trunk_trouble
from calls.engine.on_postgresql import DEAD_AFTER_S
from calls.exceptions import FailureKind, GatewayError
from calls.gateway import Gateway

from .checks import ASKED_BY_NAME

TIMEOUT_S = 10
LIVEKIT_SAYS = {
    FailureKind.KEY_REFUSED: "It refuses the key.",
    FailureKind.AMBIGUOUS: "It does not answer.",
    FailureKind.AWAY: "It answers that it cannot now.",
    FailureKind.SERVICE_AWAY: "It has no SIP service.",
    FailureKind.TRUNK_UNKNOWN: "It does not know this trunk.",
}


class State(StrEnum):
    OK = "ok"
    NOTE = "note"  # not configured, and the product runs without it
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one subject; `remedy` says what to do where something is wrong."""

    subject: str
    state: State
    says: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.state:<6} {self.subject:<9} {self.says} {self.remedy}".rstrip()


Check = Callable[[], Finding]


def check_settings() -> Finding:
    """The system checks, but for those whose subject has a line of its own here."""
    found = [message for message in checks.run_checks() if message.id not in ASKED_BY_NAME and message.level >= checks.WARNING]
    if not found:
        return Finding("settings", State.OK, "Nothing is missing.")
    state = State.WRONG if any(message.level >= checks.ERROR for message in found) else State.NOTE
    return Finding("settings", state, " ".join(f"{message.msg} {message.hint or ''}".strip() for message in found))


def check_database() -> Finding:
    vendor = "PostgreSQL" if settings.ON_POSTGRESQL else "SQLite"
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        reason = str(error).strip().splitlines()[0]
        return Finding("database", State.WRONG, f"{vendor} cannot be used: {reason}.", "Check DATABASE_URL and that the server runs.")
    if missing:
        return Finding("database", State.WRONG, f"{vendor} is behind: migrations are missing ({len(missing)}).", "Run `manage.py migrate`.")
    return Finding("database", State.OK, f"{vendor} answers, and all migrations are applied.")


def check_queue() -> Finding:
    """Whether the engine's tables are there, and, where that can be known, a queue worker."""
    if connection.vendor != "postgresql":
        return _unreadable("django_tasks_database_dbtaskresult") or Finding("queue", State.OK, "Its tables are there.")
    if unreadable := _unreadable("procrastinate_jobs"):
        return unreadable
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - %s * interval '1 s'", [DEAD_AFTER_S])
        (workers,) = cursor.fetchone()
    if not workers:
        return Finding("queue", State.NOTE, "No queue worker is at work: no call is dialled.", "Start `manage.py run_queue`.")
    return Finding("queue", State.OK, f"Its tables are there; queue workers: {workers}.")


def _unreadable(table: str) -> Finding | None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM {table} LIMIT 1")  # noqa: S608  # one of the two names above
    except DatabaseError:
        return Finding("queue", State.WRONG, "The engine's tables cannot be read.", "See the database's own line; run `manage.py migrate`.")
    return None


def check_livekit() -> Finding:
    if not (settings.LIVEKIT_URL or settings.LIVEKIT_API_KEY):
        return Finding("LiveKit", State.NOTE, "Not configured: every call runs on the sandbox line.")
    if not (settings.LIVEKIT_URL and settings.LIVEKIT_API_KEY):
        return Finding("LiveKit", State.WRONG, "Configured by half.", "Set LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET.")
    try:
        asyncio.run(_ask_livekit())
    except GatewayError as error:
        return Finding("LiveKit", State.WRONG, _said(error), "Check LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET.")
    return Finding("LiveKit", State.OK, "The server answers and takes the key.")


def check_trunk() -> Finding:
    if not (settings.LIVEKIT_URL and settings.LIVEKIT_API_KEY):
        return Finding("trunk", State.NOTE, "Not asked: LiveKit is not configured.")
    if not settings.SIP_TRUNK_ID:
        return Finding(
            "trunk", State.WRONG, "SIP_TRUNK_ID is not set: no phone can be called.", "Create an outbound trunk and set its id (ST_…)."
        )
    try:
        asyncio.run(_ask_livekit(trunk=settings.SIP_TRUNK_ID))
    except GatewayError as error:
        if error.kind != FailureKind.TRUNK_UNKNOWN:
            return Finding("trunk", State.WRONG, "LiveKit could not be asked.", "See its own line.")
        return Finding(
            "trunk", State.WRONG, f"{_said(error)} {_calls_that_failed()}".strip(), "Check SIP_TRUNK_ID against LiveKit's outbound trunks."
        )
    return Finding("trunk", State.OK, "LiveKit knows the trunk.")


def _calls_that_failed() -> str:
    try:
        trouble = trunk_trouble()
    except DatabaseError:
        return ""
    return f"Calls that ended for it in the last hour: {trouble.calls}." if trouble else ""


def _said(error: GatewayError) -> str:
    return LIVEKIT_SAYS.get(error.kind, f"It says {error.kind} {error.said}.")


async def _ask_livekit(trunk: str = "") -> None:
    async with Gateway.from_settings() as gateway:
        if trunk:
            await gateway.check_trunk(trunk)
        else:
            await gateway.check_connection()


def check_openai() -> Finding:
    if not settings.OPENAI_API_KEY:
        if settings.LIVEKIT_URL:
            return Finding("OpenAI", State.WRONG, "OPENAI_API_KEY is not set: on the phone line the persona has no voice.", "Set it.")
        return Finding("OpenAI", State.NOTE, "No key: on the sandbox line the built-in emulator answers.")
    try:
        answer = httpx2.get(
            f"{settings.OPENAI_BASE_URL}/models", headers={"Authorization": f"Bearer {settings.OPENAI_API_KEY}"}, timeout=TIMEOUT_S
        )
    except httpx2.HTTPError as error:
        return Finding("OpenAI", State.WRONG, f"No answer ({type(error).__name__}).", "Check OPENAI_BASE_URL and the network.")
    if answer.status_code == httpx2.codes.UNAUTHORIZED:
        return Finding("OpenAI", State.WRONG, "The key is refused.", "Check OPENAI_API_KEY.")
    if answer.status_code != httpx2.codes.OK:
        return Finding("OpenAI", State.WRONG, f"It answers {answer.status_code} to a list of its models.", "Check OPENAI_BASE_URL.")
    return _check_models(answer)


def _check_models(answer: httpx2.Response) -> Finding:
    try:
        offered = {model["id"] for model in answer.json()["data"]}
    except (ValueError, KeyError, TypeError):
        return Finding("OpenAI", State.WRONG, "Its list of models cannot be read.", "Check OPENAI_BASE_URL.")
    wanted = {"REALTIME_MODEL": settings.REALTIME_MODEL, "TRANSCRIPTION_MODEL": settings.TRANSCRIPTION_MODEL}
    missing = {name: model for name, model in wanted.items() if model not in offered}
    if missing:
        models = " and ".join(missing.values())
        return Finding("OpenAI", State.WRONG, f"The key may not use {models}.", f"Check {' and '.join(missing)} and the key's project.")
    return Finding("OpenAI", State.OK, f"The key is good, and {settings.REALTIME_MODEL} is there.")


CHECKS: Sequence[Check] = (check_settings, check_database, check_queue, check_livekit, check_trunk, check_openai)


def findings() -> Iterator[Finding]:
    """Every check in turn, each asked when its line is wanted."""
    return (check() for check in CHECKS)

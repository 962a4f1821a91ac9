"""One job is one call: what LiveKit hands over becomes `run_call` on the phone line. Its functions are known by name to job processes."""

from agent_worker import bootstrap  # noqa: F401, I001  # first: what follows imports models

import json

import structlog
from django.db import connections
from livekit.agents import JobContext, JobProcess

from agent_worker import backlog, job_process, warm  # noqa: F401  # warm: for the forkserver, which imports this module
from agent_worker.caller import run_call
from agent_worker.lines.phone import PhoneLine
from calls.gateway import Gateway

log = structlog.get_logger(__name__)


def prewarm(_process: JobProcess) -> None:
    """In every new job process, before it has a job."""
    job_process.write_logs_through_the_worker()
    connections.close_all()
    job_process.meet_the_database()


async def entrypoint(context: JobContext) -> None:
    """Run the call that the dispatch names. A dispatch that names none is refused, and says so in the log."""
    named = call_and_claim(context.job.metadata)
    if named is None:
        log.warning("dispatch names no call", job=context.job.id)
        context.shutdown(reason="no call")
        return
    call_id, claim = named
    context.log_context_fields = {"call": call_id}
    line = PhoneLine(context, Gateway.from_settings())
    try:
        await run_call(call_id=call_id, claim=claim, line=line, worker=f"job:{context.job.id}")
    finally:
        context.shutdown(reason="call ended")


async def on_session_end(_context: JobContext) -> None:
    """Whatever this machine still keeps of calls because the database was away is tried once more."""
    await backlog.replay()


def call_and_claim(metadata: str) -> tuple[str, str] | None:
    """The call and its claim token out of a dispatch's metadata, short or full; None: it is not one of ours."""
    try:
        told = json.loads(metadata or "{}")
    except json.JSONDecodeError:
        return None
    if not isinstance(told, dict) or not all(isinstance(told.get(name), str) for name in ("call_id", "claim")):
        return None
    return told["call_id"], told["claim"]

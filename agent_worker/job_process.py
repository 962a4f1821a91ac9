"""What a job process does before it gets its first call, and the proof that one can start at all."""

import logging
import multiprocessing
import os
import signal
from contextlib import suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from uuid import uuid4

import structlog
from asgiref.sync import SyncToAsync
from django.conf import settings
from django.db import DatabaseError, connection

from calls import lifecycle

# Loaded once in the forkserver, and inherited by every job process. The last two are what livekit-agents itself appends
# to this list when it starts the forkserver; here it is started before, by `prove_that_one_starts`.
PRELOAD = ["agent_worker.bootstrap", "agent_worker.job_process", "agent_worker.entrypoint"]
LIBRARY_PRELOAD = ["livekit.agents.ipc._preload", "livekit.agents.ipc._preload_freeze"]
START_TIMEOUT_S = 60.0


class RecordsOfStructlog(logging.Formatter):
    """Makes a record fit to go to the worker's process, which formats it: the fields stay fields.

    livekit-agents sends every record of a job through a pipe as its formatted text. A structlog record carries a dictionary and a
    logger that cannot be pickled: the dictionary stands for the text, the logger stays here.
    """

    def format(self, record: logging.LogRecord) -> str:
        if not isinstance(record.msg, dict):
            return super().format(record)
        fields = structlog.processors.format_exc_info(None, record.levelname, dict(record.msg))
        record.__dict__["_logger"] = None
        return fields  # type: ignore[return-value]  # what the handler sends as `msg`


def write_logs_through_the_worker() -> None:
    """Django's handlers would write each line a second time, beside the worker's own."""
    for handler in list(logging.root.handlers):
        if isinstance(handler, logging.StreamHandler):
            logging.root.removeHandler(handler)
        else:
            handler.setFormatter(RecordsOfStructlog())


def meet_the_database() -> None:
    """Connect to the database in the thread that asks it on this process's calls, and look once for a call: the first real claim
    finds connection and query made. Returns at once; a database that is away is met later."""
    SyncToAsync.single_thread_executor.submit(_look_for_a_call)


def _look_for_a_call() -> None:
    with suppress(DatabaseError):
        lifecycle.claim_for_dial(call_id=uuid4(), claim="", by="nobody", worker="nobody")
        # It may wait for hours for its call: before each use it is looked at, not thrown away for its age.
        connection.close_at = None


def try_to_start(report: Connection) -> None:
    """In a new process: do what a job process does first, and say what is wrong with it ("" when nothing is)."""
    try:
        from agent_worker import bootstrap, entrypoint  # noqa: F401
    except Exception as error:  # noqa: BLE001  # whatever a module raises when it is imported is what has to be said
        report.send(f"{type(error).__name__}: {error}")
    else:
        report.send("")


def start_forkserver() -> None:
    """Start the process that all job processes are forked from, deaf to SIGTERM.

    A service manager, or a terminal, that signals the whole group would kill it, and every call with it, where the worker means to
    drain. It ends by itself when the worker has gone.
    """
    # Python 3.11's looks for what it preloads in its own path alone, and passes over in silence what it does not find there.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(settings.BASE_DIR), os.environ.get("PYTHONPATH"))))
    resource_tracker.ensure_running()  # on its own way it would unblock the signal again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def prove_that_one_starts() -> str:
    """Start a process as the jobs' are started. Returns what is wrong with it, "" when nothing is. Blocks for some seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOAD, *LIBRARY_PRELOAD])
    start_forkserver()
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=try_to_start, args=(there,), name="job_proof", daemon=True)
    try:
        process.start()
        there.close()
        if not here.poll(START_TIMEOUT_S):
            return f"it was not ready within {START_TIMEOUT_S:g} s"
        return str(here.recv())
    except (EOFError, OSError) as error:
        return f"it died before it could say why ({type(error).__name__})"
    finally:
        if process.pid is not None:
            process.kill()
            process.join()
        process.close()
        here.close()

"""The engine on PostgreSQL: procrastinate, woken by NOTIFY; any number of workers share the work.

Jobs have a queueing lock (a step waits at most once) and no lock: while a worker that was killed still seems to run its step, the next
ring is answered by another. Finished jobs are deleted, failed ones too: what they were about is due still.
"""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from asgiref.sync import async_to_sync
from django.db import connections, transaction
from django.utils import timezone
from django.utils.module_loading import import_string
from django_tasks.base import Task, TaskResult, TaskResultStatus
from django_tasks.signals import task_enqueued
from procrastinate import App
from procrastinate.connector import BaseAsyncConnector
from procrastinate.contrib.django.utils import connector_params
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import Status
from procrastinate.psycopg_connector import PsycopgConnector
from procrastinate.worker import Worker

from .backend import StepBackend

JOB = "run_step"
# Steps at once of one worker: a slow one does not hold up the others.
AT_ONCE = 4
BEATS_EVERY_S = 5.0
# Nobody aborts a step: procrastinate has to look for it, but every five seconds would be for nothing.
LOOKS_FOR_ABORTED_EVERY_S = 60.0
# A worker that has not beaten for so long is dead; its jobs are somebody else's.
DEAD_AFTER_S = 20.0
# How long a database that is away is waited for before the worker is made anew.
WAITS_FOR_A_CONNECTION_S = 5.0
DRAINS_WITHIN_S = 10.0
LOOKS_FOR_STOP_EVERY_S = 0.5


class ProcrastinateBackend(StepBackend):
    """Steps as jobs of procrastinate, told apart by the path of the task."""

    def enqueue(self, task: Task[..., Any], args: Any, kwargs: Any) -> TaskResult[Any]:  # noqa: ARG002  # steps have none
        self.validate_task(task)
        path, app = task.module_path, enqueuing_app()
        if not app.job_manager.list_jobs(queueing_lock=path, status="todo"):
            # Somebody may be quicker between the look and the job; within a transaction that must not break it.
            with suppress(AlreadyEnqueued), transaction.atomic():
                app.configure_task(JOB, queueing_lock=path).defer(path=path)
        result: TaskResult[Any] = TaskResult(
            task=task,
            id=path,
            status=TaskResultStatus.READY,
            enqueued_at=timezone.now(),
            started_at=None,
            last_attempted_at=None,
            finished_at=None,
            args=[],
            kwargs={},
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )
        task_enqueued.send(type(self), task_result=result)
        return result


def enqueuing_app() -> App:
    """The app that enqueues, on the connection of the thread that does."""
    from procrastinate.contrib.django import app

    return app


def connector() -> BaseAsyncConnector:
    """The worker's own connections: it asks from an event loop, which Django's cannot be used in."""
    return PsycopgConnector(kwargs=connector_params(), min_size=1, max_size=3, timeout=WAITS_FOR_A_CONNECTION_S)


def run_step(path: str) -> None:
    try:
        import_string(path).call()
    finally:
        # Of one of the engine's threads, which may rest for hours now.
        connections.close_all()


def work(stop: threading.Event) -> None:
    """Run what is enqueued until `stop` is set, and then, briefly, what is under way. Raises what ends procrastinate's worker."""
    asyncio.run(_work(stop))


async def _work(stop: threading.Event) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(AT_ONCE, thread_name_prefix="step"))
    app = App(connector=connector())
    app.task(name=JOB)(run_step)
    async with app.open_async():
        worker = Worker(
            app,
            concurrency=AT_ONCE,
            delete_jobs="always",
            install_signal_handlers=False,
            abort_job_polling_interval=LOOKS_FOR_ABORTED_EVERY_S,
            update_heartbeat_interval=BEATS_EVERY_S,
            stalled_worker_timeout=DEAD_AFTER_S,
            shutdown_graceful_timeout=DRAINS_WITHIN_S,
        )
        watching = asyncio.create_task(_stop_when_told(worker, stop))
        try:
            await worker.run()
        finally:
            watching.cancel()


async def _stop_when_told(worker: Worker, stop: threading.Event) -> None:
    while not stop.is_set():  # noqa: ASYNC110  # an event of threads cannot be awaited
        await asyncio.sleep(LOOKS_FOR_STOP_EVERY_S)
    worker.stop()


def tidy() -> None:
    """Take away the jobs of workers that died in the middle of them, and enqueue their steps again."""
    jobs = enqueuing_app().job_manager
    for job in async_to_sync(jobs.get_stalled_jobs)(seconds_since_heartbeat=DEAD_AFTER_S):
        async_to_sync(jobs.finish_job)(job=job, status=Status.ABORTED, delete_job=True)
        # By its lock: Django's connections hand JSON out as text, and the job's arguments are JSON.
        import_string(str(job.queueing_lock)).enqueue()

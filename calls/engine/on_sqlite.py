"""The engine on SQLite, for one machine: django-tasks-db. Nothing rings across processes there, so the worker looks for what waits."""

import threading
from datetime import timedelta
from typing import Any

from django.db import close_old_connections
from django.db.models import Q
from django.utils import timezone
from django_tasks import DEFAULT_TASK_BACKEND_ALIAS
from django_tasks.base import Task, TaskResult, TaskResultStatus
from django_tasks_db import backend
from django_tasks_db.management.commands.db_worker import Worker
from django_tasks_db.models import DBTaskResult

from .backend import StepBackend

LOOKS_EVERY_S = 0.5
# What runs longer than this was the work of a process that died.
DEAD_AFTER = timedelta(minutes=10)


class DatabaseBackend(StepBackend):
    """Steps as rows of django-tasks-db."""

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self._rows = backend.DatabaseBackend(alias, params)

    def enqueue(self, task: Task[..., Any], args: Any, kwargs: Any) -> TaskResult[Any]:
        self.validate_task(task)
        waiting = DBTaskResult.objects.filter(task_path=task.module_path, status=TaskResultStatus.READY).first()
        result: TaskResult[Any] = waiting.task_result if waiting else self._rows.enqueue(task, args, kwargs)
        return result


def work(stop: threading.Event) -> None:
    """Run what is enqueued, one step after the other, until `stop` is set."""
    worker = Worker(
        queue_names=["*"],
        excluded_queue_names=[],
        backend_name=DEFAULT_TASK_BACKEND_ALIAS,
        worker_id="run_queue",
        interval=0,
        startup_delay=False,
        batch=True,
        max_tasks=1,
    )
    while not stop.is_set():
        # The worker's own look locks the database for writing; so it is called when there is something only.
        if DBTaskResult.objects.ready().exists():
            worker.run()
            tidy()
        else:
            close_old_connections()
            stop.wait(LOOKS_EVERY_S)


def tidy() -> None:
    """Delete the jobs that are done, and those whose worker died. Their steps are rung for by the sweep."""
    DBTaskResult.objects.filter(
        Q(status__in=[TaskResultStatus.SUCCESSFUL, TaskResultStatus.FAILED])
        | Q(status=TaskResultStatus.RUNNING, started_at__lte=timezone.now() - DEAD_AFTER)
    ).delete()

"""What both engines have in common, as backends of django-tasks."""

from typing import Any

from django.utils.inspect import get_func_args
from django_tasks.backends.base import BaseTaskBackend
from django_tasks.base import Task
from django_tasks.exceptions import InvalidTaskError


class StepBackend(BaseTaskBackend):
    """Its tasks are steps. `enqueue` of one that waits already changes nothing: it will see what became due meanwhile."""

    def validate_task(self, task: Task[..., Any]) -> None:
        super().validate_task(task)
        if get_func_args(task.func):
            raise InvalidTaskError("A step takes no arguments: what is due stands in rows.")

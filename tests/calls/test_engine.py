"""The engine is a doorbell: it runs the steps that were rung for, once however many rang, and nobody's work depends on it.

The same promises hold on the database that is configured, and of procrastinate on its own connector in memory.
"""

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog
from django.db import connection, transaction
from django.utils import timezone
from django_tasks import task
from django_tasks.exceptions import InvalidTaskError
from procrastinate import App
from procrastinate.psycopg_connector import PsycopgConnector
from procrastinate.testing import InMemoryConnector
from pytest_django import Settings

from calls import engine, schedule, tasks
from calls.engine import on_postgresql
from calls.engine.steps import Step, attempt, ring
from calls.models import Call
from calls.states import Status
from tests.call_factories import make_call

from .engines import Jobs, comes_true, forget_all_jobs, on_this_database, running

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_connections")]
real_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="the doorbell of SQLite has its own tests")
real_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="procrastinate has its own tests")
IN_MEMORY = {"default": {"BACKEND": "calls.engine.on_postgresql.ProcrastinateBackend"}}


@pytest.fixture(autouse=True)
def no_jobs_yet() -> None:
    forget_all_jobs()


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> InMemoryConnector:
    """procrastinate without a PostgreSQL."""
    connector = InMemoryConnector()
    app = App(connector=connector)
    monkeypatch.setattr(on_postgresql, "enqueuing_app", lambda: app)
    monkeypatch.setattr(on_postgresql, "connector", lambda: connector)
    settings.TASKS, settings.ON_POSTGRESQL = IN_MEMORY, True
    return connector


@pytest.fixture(params=["of this database", "in memory"])
def jobs(request: pytest.FixtureRequest) -> Jobs:
    if request.param == "of this database":
        return on_this_database()
    memory: InMemoryConnector = request.getfixturevalue("in_memory")
    return Jobs("", lambda: [(str(job["args"]["path"]), str(job["status"])) for job in list(memory.jobs.values())])


def step(act: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the step that promotes do this instead."""
    monkeypatch.setattr(schedule, "promote_due", act)


# -- ringing ---------------------------------------------------------------------------------------------------------------


def test_a_step_waits_once_however_many_rang(jobs: Jobs) -> None:
    for _ in range(3):
        ring(Step.PROMOTE)
    ring(Step.EXPIRE)
    assert jobs.waiting() == ["promote", "expire"]


def test_a_ring_is_heard_when_its_transaction_commits(jobs: Jobs) -> None:
    with transaction.atomic():
        ring(Step.PROMOTE)
        assert jobs.waiting() == []
    assert jobs.waiting() == ["promote"]


def test_a_ring_of_a_transaction_that_fails_is_not_heard(jobs: Jobs) -> None:
    with transaction.atomic():
        ring(Step.PROMOTE)
        transaction.set_rollback(True)
    assert jobs.waiting() == []


def test_who_rings_is_not_held_up_by_an_engine_that_is_away() -> None:
    table = on_this_database().table
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO away")
    try:
        with transaction.atomic():
            call = make_call(Status.SCHEDULED)
            ring(Step.PROMOTE)
        ring(Step.PROMOTE)
        assert Call.objects.get() == call
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE away RENAME TO {table}")


def test_a_step_can_be_enqueued_within_a_transaction_by_two_at_once(in_memory: InMemoryConnector, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks.promote.enqueue()
    # The other one enqueued it after we had looked.
    monkeypatch.setattr(on_postgresql.enqueuing_app().job_manager, "list_jobs", lambda **_: [])
    with transaction.atomic():
        result = tasks.promote.enqueue()
        make_call()
    assert (result.id, len(in_memory.jobs), Call.objects.count()) == ("calls.tasks.promote", 1, 1)


def with_an_argument(_call_id: str) -> None:
    """What no step is."""


@pytest.mark.usefixtures("jobs")
def test_a_step_has_no_arguments() -> None:
    with pytest.raises(InvalidTaskError) as refused:
        task(with_an_argument)
    assert str(refused.value) == "A step takes no arguments: what is due stands in rows."


def test_every_step_has_a_task_of_its_name_and_a_question() -> None:
    assert {step: due.task.module_path for step, due in tasks.STEPS.items()} == {step: f"calls.tasks.{step}" for step in Step}
    assert [due.is_due() for due in tasks.STEPS.values()] == [False] * len(Step)


# -- working ---------------------------------------------------------------------------------------------------------------


def test_what_was_rung_for_is_done_and_its_job_is_gone(jobs: Jobs) -> None:
    call = make_call(Status.SCHEDULED, due_at=timezone.now())
    with running("engine", engine.work):
        ring(Step.PROMOTE)
        assert comes_true(lambda: Call.objects.get(pk=call.pk).status == Status.QUEUED)
        assert comes_true(lambda: jobs.rows() == [])


def test_a_step_goes_on_while_there_is_work(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([True, True, True, False])
    asked: list[bool] = []

    def act() -> bool:
        asked.append(next(answers))
        return asked[-1]

    step(act, monkeypatch)
    with running("engine", engine.work):
        ring(Step.PROMOTE)
        assert comes_true(lambda: len(asked) == 4)
        assert comes_true(lambda: jobs.rows() == [])
    assert asked == [True, True, True, False]


def test_a_step_that_fails_is_logged_by_its_name_and_the_engine_goes_on(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks() -> bool:
        raise ZeroDivisionError

    step(breaks, monkeypatch)
    call = make_call(expires_at=timezone.now())
    with structlog.testing.capture_logs() as logs, running("engine", engine.work):
        ring(Step.PROMOTE)
        assert comes_true(lambda: [line["step"] for line in logs if line["event"] == "a step failed"] == ["promote"])
        ring(Step.EXPIRE)
        assert comes_true(lambda: Call.objects.get(pk=call.pk).status == Status.ENDED)
        assert comes_true(lambda: jobs.rows() == [])


def test_a_step_that_is_under_way_is_finished_when_the_engine_is_told_to_stop(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    began, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def act() -> bool:
        began.set()
        assert may_end.wait(30)
        ended.set()
        return False

    step(act, monkeypatch)
    with running("engine", engine.work) as stop:
        ring(Step.PROMOTE)
        assert began.wait(30)
        stop.set()
        may_end.set()
    assert ended.is_set()
    assert jobs.rows() == []


def test_an_attempt_says_whether_it_worked_and_none_when_it_failed() -> None:
    def breaks() -> bool:
        raise ZeroDivisionError

    assert [attempt(act, step="a step") for act in (lambda: True, lambda: False, breaks)] == [True, False, None]


# -- the jobs of the dead --------------------------------------------------------------------------------------------------


@pytest.fixture
def stalled_in_memory(in_memory: InMemoryConnector) -> InMemoryConnector:
    tasks.promote.enqueue()
    in_memory.workers = {1: timezone.now() - timedelta(seconds=on_postgresql.DEAD_AFTER_S + 1)}
    in_memory.jobs[1] |= {"status": "doing", "worker_id": 1}
    return in_memory


def test_the_step_of_a_worker_that_died_is_rung_for_again(stalled_in_memory: InMemoryConnector) -> None:
    engine.tidy()
    assert [(job["id"], job["status"]) for job in stalled_in_memory.jobs.values()] == [(2, "todo")]
    engine.tidy()
    assert list(stalled_in_memory.jobs) == [2]


@real_postgresql
def test_on_postgresql_the_step_of_a_worker_that_died_is_rung_for_again() -> None:
    tasks.promote.enqueue()
    tasks.expire.enqueue()
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '21 s'), (now()) RETURNING id")
        (dead,), (alive,) = cursor.fetchall()
        for path, worker in (("calls.tasks.promote", dead), ("calls.tasks.expire", alive)):
            cursor.execute("UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s WHERE args ->> 'path' = %s", [worker, path])
    engine.tidy()
    assert sorted(on_this_database().rows()) == [("calls.tasks.expire", "doing"), ("calls.tasks.promote", "todo")]


@real_sqlite
@pytest.mark.parametrize(("ago", "left"), [(timedelta(minutes=11), []), (timedelta(minutes=1), [("calls.tasks.promote", "RUNNING")])])
def test_on_sqlite_the_job_of_a_worker_that_died_is_cleared_away(ago: timedelta, left: list[tuple[str, str]]) -> None:
    from django_tasks_db.models import DBTaskResult

    tasks.promote.enqueue()
    began: datetime = timezone.now() - ago
    DBTaskResult.objects.update(status="RUNNING", started_at=began)
    engine.tidy()
    assert on_this_database().rows() == left
    ring(Step.PROMOTE)
    assert on_this_database().waiting() == ["promote"]


# -- procrastinate's connections -------------------------------------------------------------------------------------------


def test_the_worker_asks_by_connections_of_its_own() -> None:
    from procrastinate.contrib.django import app

    assert on_postgresql.enqueuing_app() is app
    assert isinstance(on_postgresql.connector(), PsycopgConnector)


@real_postgresql
def test_an_engine_that_lost_its_connections_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calls.queue_worker.AFTER_AN_ERROR_S", 0.1)
    done = threading.Semaphore(0)

    def act() -> bool:
        done.release()
        return False

    step(act, monkeypatch)
    with running("engine", engine.work):
        ring(Step.PROMOTE)
        assert done.acquire(timeout=20)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        ring(Step.PROMOTE)
        assert done.acquire(timeout=20)

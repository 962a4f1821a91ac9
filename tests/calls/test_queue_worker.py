"""The queue worker does what is due, side by side and step by step, until it is told to stop."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import structlog
from django.core.management import call_command
from django.db import OperationalError
from django.utils import timezone

from accounts.models import Organization
from calls import engine, queue_worker, tasks
from calls.doorbell import Doorbell
from calls.engine.steps import Step
from calls.management.commands import run_queue
from calls.models import Call
from calls.requests import request_call
from calls.states import Status
from tests.call_factories import a_requester, an_order, make_call

from .engines import comes_true, forget_all_jobs, on_this_database, running
from .livekit_api import FakeLiveKit

ROOT = Path(__file__).parents[2]


class CountedDoorbell(Doorbell):
    """Nobody rings; how often it was waited for."""

    waits = 0

    def wait(self, seconds: float) -> None:
        self.waits += 1


def works(*steps: Callable[[], bool], rounds: int = 3) -> int:
    """Let the loop go round so often; how often it rested."""
    stop = threading.Event()
    left = iter(range(rounds - 1))

    def last() -> bool:
        if next(left, None) is None:
            stop.set()
        return False

    doorbell = CountedDoorbell(stop)
    queue_worker.work([partial(step) for step in (*steps, last)], stop, doorbell)
    return doorbell.waits


# -- the dialer's loop -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_it_rests_only_when_nothing_was_due() -> None:
    answers = iter([True, False, True])
    assert works(lambda: next(answers)) == 1


@pytest.mark.django_db
def test_a_busy_step_does_not_starve_the_ones_after_it() -> None:
    calls: list[str] = []
    works(lambda: calls.append("busy") is None, lambda: calls.append("other") is not None)
    assert calls == ["busy", "other"] * 3


@pytest.mark.django_db(transaction=True)
def test_a_step_that_fails_is_logged_and_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_worker, "AFTER_AN_ERROR_S", 0.01)
    calls: list[str] = []

    def breaks() -> bool:
        raise OperationalError("the database is away")

    with structlog.testing.capture_logs() as logs:
        assert works(breaks, lambda: calls.append("other") is None) == 0
    assert calls == ["other"] * 3
    assert [(line["event"], line["step"]) for line in logs] == [("a step failed", "breaks")] * 3


# -- the parts side by side ------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("persona_version", "own_connections")
def test_a_call_that_is_asked_for_is_dispatched_while_it_runs(organization: Organization, livekit_line: FakeLiveKit) -> None:
    opened = threading.Event()
    livekit_line.before["CreateRoom"] = opened.set
    with running("queue worker", lambda stop: queue_worker.run(stop) and None):
        call = request_call(organization=organization, by=a_requester(), order=an_order()).call
        assert opened.wait(10)
    assert (Call.objects.get(pk=call.pk).status, livekit_line.rooms) == (Status.DISPATCHED, {call.room})


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("own_connections")
def test_what_is_due_is_done_though_nobody_rang(organization: Organization) -> None:
    forget_all_jobs()
    call = make_call(Status.SCHEDULED, organization=organization, due_at=timezone.now())
    with running("queue worker", lambda stop: queue_worker.run(stop) and None):
        assert comes_true(lambda: Call.objects.get(pk=call.pk).status == Status.QUEUED)
        # A new organization gets its personas.
        slugs = ["clinica", "restaurante", "vendedor"]
        assert comes_true(lambda: set(slugs) <= set(organization.personas.values_list("slug", flat=True)))
        assert comes_true(lambda: on_this_database().rows() == [])


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("own_connections")
def test_a_ring_that_was_lost_is_rung_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_worker, "SWEEPS_EVERY_S", 0.05)
    forget_all_jobs()
    make_call(Status.SCHEDULED, due_at=timezone.now())
    Organization.objects.update(personas_seeded_at=timezone.now())
    with running("sweep", queue_worker.sweep):
        for _ in range(2):
            assert comes_true(lambda: on_this_database().waiting() == ["promote"])
            forget_all_jobs()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("own_connections")
def test_a_question_that_fails_does_not_keep_the_others_from_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks() -> bool:
        raise OperationalError("the database is away")

    forget_all_jobs()
    monkeypatch.setitem(tasks.STEPS, Step.PROMOTE, tasks.Due(tasks.promote, breaks))
    make_call(expires_at=timezone.now())
    Organization.objects.update(personas_seeded_at=timezone.now())
    with structlog.testing.capture_logs() as logs, running("sweep", queue_worker.sweep):
        assert comes_true(lambda: on_this_database().waiting() == ["expire"])
    assert {line["step"] for line in logs if line["event"] == "a step failed"} == {"sweep promote"}


@pytest.mark.django_db(transaction=True)
def test_the_jobs_of_the_dead_are_looked_for_at_the_start_and_then_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[bool] = []
    sweeps = iter(range(5))
    stop = threading.Event()
    monkeypatch.setattr(engine, "tidy", lambda: looks.append(True))
    monkeypatch.setattr(queue_worker, "SWEEPS_EVERY_S", 0)
    monkeypatch.setattr(tasks, "STEPS", {Step.SEED: tasks.Due(tasks.seed, lambda: next(sweeps, None) is None and stop.set() is None)})
    queue_worker.sweep(stop)
    assert looks == [True]


@pytest.mark.django_db(transaction=True)
def test_a_part_that_fails_is_named_and_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_worker, "AFTER_AN_ERROR_S", 0.01)
    starts: list[int] = []

    def part(stop: threading.Event) -> None:
        starts.append(1)
        if len(starts) < 3:
            raise OperationalError("the database is away")
        stop.set()

    with structlog.testing.capture_logs() as logs:
        queue_worker.keep("reconciler", part, threading.Event())
    assert [(line["event"], line["part"]) for line in logs if line["log_level"] == "error"] == [
        ("a part of the queue worker failed", "reconciler")
    ] * 2


@pytest.mark.django_db(transaction=True)
def test_a_part_that_does_not_end_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_worker, "DRAINS_WITHIN_S", 0.1)
    may_end, stop = threading.Event(), threading.Event()

    def slow(stop: threading.Event) -> None:
        stop.set()
        may_end.wait(30)

    monkeypatch.setattr(queue_worker, "parts", lambda **_: {"slow": slow})
    with structlog.testing.capture_logs() as logs:
        assert not queue_worker.run(stop)
    may_end.set()
    assert [line["parts"] for line in logs if line["log_level"] == "warning"] == [["slow"]]


def test_without_a_phone_line_nobody_dials_and_the_rest_goes_on() -> None:
    assert set(queue_worker.parts()) == {"engine", "sweep", "reconciler"}


@pytest.mark.usefixtures("phone_line")
def test_with_a_phone_line_the_dialer_is_a_part() -> None:
    assert set(queue_worker.parts()) == {"engine", "sweep", "reconciler", "dialer"}


# -- the command -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> dict[int, Callable[..., object]]:
    """What the command does on a signal."""
    found: dict[int, Callable[..., object]] = {}
    monkeypatch.setattr(signal, "signal", lambda number, handler: found.update({number: handler}))
    return found


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """With which codes the process ended at once."""
    codes: list[int] = []
    monkeypatch.setattr(run_queue.os, "_exit", codes.append)
    return codes


@pytest.mark.usefixtures("handlers")
def test_the_command_says_which_lines_it_serves(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(queue_worker, "run", lambda _stop, *, idle_s: True)
    call_command("run_queue", "--idle", "0.1")
    assert capsys.readouterr().out == ("queue worker ready (no phone line: LiveKit or its trunk is not configured)\nqueue worker stopped\n")


@pytest.mark.django_db
@pytest.mark.usefixtures("phone_line")
def test_the_command_says_that_it_dials(
    handlers: dict[int, Callable[..., object]], exits: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(stop: threading.Event, *, idle_s: float) -> bool:
        handlers[signal.SIGTERM]()
        assert (stop.is_set(), idle_s, exits) == (True, queue_worker.IDLE_S, [])
        return True

    monkeypatch.setattr(queue_worker, "run", run)
    call_command("run_queue")
    assert (capsys.readouterr().out, exits) == ("queue worker ready (the phone line)\nqueue worker stopped\n", [])


def test_a_second_signal_ends_it_at_once(
    handlers: dict[int, Callable[..., object]], exits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(_stop: threading.Event, *, idle_s: float) -> bool:
        handlers[signal.SIGTERM]()
        handlers[signal.SIGINT]()
        return True

    monkeypatch.setattr(queue_worker, "run", run)
    call_command("run_queue")
    assert exits == [1]


@pytest.mark.usefixtures("handlers")
def test_what_does_not_end_in_time_is_broken_off(exits: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_worker, "run", lambda _stop, *, idle_s: False)
    call_command("run_queue")
    assert exits == [1]


def test_sigterm_ends_the_process_within_a_second_or_two(tmp_path: Path) -> None:
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}", "DJANGO_SETTINGS_MODULE": "tests.settings"}
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "-v0"], cwd=ROOT, env=environment, check=True, timeout=100)
    with subprocess.Popen([*manage, "run_queue"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("queue worker ready")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0

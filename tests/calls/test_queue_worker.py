"""The queue worker does what is due, step by step, until it is told to stop."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from django.core.management import call_command
from django.db import OperationalError, connection
from pytest_django import Settings

from accounts.models import Organization
from calls import queue_worker
from calls.doorbell import Doorbell
from calls.models import Call
from calls.requests import request_call
from calls.states import Status
from tests.call_factories import a_requester, an_order

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
    queue_worker.work([*steps, last], stop, doorbell)
    return doorbell.waits


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


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("persona_version", "own_connections")
def test_a_call_that_is_asked_for_is_dispatched_while_it_runs(organization: Organization, livekit_line: FakeLiveKit) -> None:
    stop, opened = threading.Event(), threading.Event()
    livekit_line.before["CreateRoom"] = opened.set

    def run() -> None:
        queue_worker.run(stop)
        connection.close()

    worker = threading.Thread(target=run)
    worker.start()
    try:
        call = request_call(organization=organization, by=a_requester(), order=an_order()).call
        assert opened.wait(10)
    finally:
        stop.set()
        worker.join(10)
    assert not worker.is_alive()
    assert (Call.objects.get(pk=call.pk).status, livekit_line.rooms) == (Status.DISPATCHED, {call.room})


@pytest.mark.django_db
def test_a_new_organization_gets_its_personas(settings: Settings, organization: Organization) -> None:
    steps = queue_worker.steps(None, Doorbell(threading.Event()))
    assert [step() for step in steps] == [False, False, True]
    assert sorted(organization.personas.values_list("slug", flat=True)) == ["clinica", "restaurante", "vendedor"]


@pytest.mark.django_db
def test_the_command_says_which_lines_it_serves(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(queue_worker, "run", lambda _stop, *, idle_s: None)
    call_command("run_queue", "--idle", "0.1")
    assert capsys.readouterr().out == ("queue worker ready (no phone line: LiveKit or its trunk is not configured)\nqueue worker stopped\n")


@pytest.mark.django_db
@pytest.mark.usefixtures("phone_line")
def test_the_command_says_that_it_dials(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    handlers: dict[int, Callable[..., object]] = {}
    monkeypatch.setattr(signal, "signal", lambda number, handler: handlers.update({number: handler}))

    def run(stop: threading.Event, *, idle_s: float) -> None:
        handlers[signal.SIGTERM]()
        assert (stop.is_set(), idle_s) == (True, queue_worker.IDLE_S)

    monkeypatch.setattr(queue_worker, "run", run)
    call_command("run_queue")
    assert capsys.readouterr().out == "queue worker ready (the phone line)\nqueue worker stopped\n"


def test_sigterm_ends_the_process_within_a_second_or_two(tmp_path: Path) -> None:
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}", "DJANGO_SETTINGS_MODULE": "tests.settings"}
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "-v0"], cwd=ROOT, env=environment, check=True, timeout=100)
    with subprocess.Popen([*manage, "run_queue"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("queue worker ready")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0

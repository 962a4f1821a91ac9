"""What was left on disk comes into the database once, and only when nobody holds it any more."""

import json
import os
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from agent_worker import spool
from agent_worker.endings import Ending, after_answer
from agent_worker.spool import Page, SpoolFile
from calls import lifecycle
from calls.callbacks import Wish
from calls.models import Call
from calls.states import EndedBy, Outcome, Reason
from contacts.crypto import decrypt, encrypt
from contacts.models import Suppression
from tests.agent_worker.calling import dispatched_call
from tests.agent_worker.outages import AT, Outage, turn
from tests.factories import MembershipFactory, published_version

ANSWERED = after_answer(Reason.CALLEE_HANGUP, EndedBy.CALLEE).with_columns(usage={"model": {"output_tokens": 7}})


@pytest.fixture
def folder(spool_folder: Path) -> Path:
    return spool_folder


@pytest.fixture
def call(transactional_db: None) -> Call:
    return dispatched_call(published_version(organization=MembershipFactory().organization, slug="restaurante"))


def page_of(call: Call, **more: Any) -> Page:
    return Page(**{"call": str(call.pk), "claim": call.claim, "turns": (turn(2), turn(1)), **more})


def left(call: Call, **more: Any) -> Path:
    """The file of a process that is no more."""
    file = SpoolFile(str(call.pk))
    file.write(page_of(call, **more))
    file.let_go()
    (path,) = spool.waiting()
    return path


def replay() -> list[bool]:
    return [spool.replay(path) for path in spool.waiting()]


def texts(call: Call) -> list[str]:
    return [each.text for each in call.turns.order_by("started_at")]


def test_what_was_kept_on_disk_is_written_once_the_database_is_back(call: Call, folder: Path) -> None:
    left(call, ending=replace(ANSWERED, answered_at=AT.isoformat()), suppression="opt_out_on_call")
    assert (replay(), replay(), list(folder.iterdir())) == ([True], [], [])
    call.refresh_from_db()
    assert (call.status, call.outcome, call.ended_reason, call.answered_at) == ("ended", "answered", "callee.hangup", AT)
    assert call.usage == {"model": {"output_tokens": 7}}
    assert texts(call) == ["turn 1", "turn 2"]
    assert Suppression.objects.get().number_index == call.number_index


def test_a_callback_that_was_kept_on_disk_is_booked_once(call: Call, folder: Path) -> None:
    now = timezone.now()
    wish = Wish(at=(now + timedelta(days=2)).replace(hour=13), asked_at=now)
    for _ in range(2):
        left(call, callback=wish)
        assert replay() == [True]
    assert list(call.callbacks.values_list("status", "due_at")) == [("scheduled", wish.at)]
    assert (page_of(call, turns=()).is_blank, page_of(call, turns=(), callback=wish).is_blank) == (True, False)


def test_a_file_of_before_callbacks_is_written_too(call: Call, folder: Path) -> None:
    path = left(call)
    content = json.loads(decrypt(path.read_text(), context=spool.CONTEXT))
    del content["callback"]
    path.write_text(encrypt(json.dumps(content), context=spool.CONTEXT))
    assert (replay(), texts(call)) == ([True], ["turn 1", "turn 2"])


def test_a_retry_that_an_end_on_disk_leaves_open_is_written_with_it(call: Call, folder: Path) -> None:
    Call.objects.filter(pk=call.pk).update(line="phone", simulated=False)
    left(call, ending=Ending(outcome=Outcome.BUSY, reason=Reason.DIAL_BUSY, retry="busy").with_columns(retryable=True))
    assert replay() == [True]
    call.refresh_from_db()
    assert (call.ended_reason, call.retry_at is not None) == ("dial.busy", True)


def test_nobody_else_can_read_what_is_on_disk(call: Call, folder: Path) -> None:
    path = left(call)
    assert (path.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    assert "turn 1" not in path.read_text()
    with pytest.raises(json.JSONDecodeError):
        json.loads(path.read_text())


def test_what_a_process_holds_is_not_written_by_another(call: Call, folder: Path) -> None:
    file = SpoolFile(str(call.pk))
    file.write(page_of(call))
    assert (replay(), texts(call)) == ([False], [])
    file.write(page_of(call, turns=(turn(3),)))
    assert (replay(), texts(call)) == ([False], [])
    file.let_go()
    assert (replay(), texts(call)) == ([True], ["turn 3"])


def test_a_file_that_was_replaced_while_it_was_opened_is_left_to_its_owner(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = left(call)
    lock = spool.fcntl.flock

    def lock_too_late(file: Any, how: int) -> None:
        if how & spool.fcntl.LOCK_NB:
            newer = path.with_suffix(".newer")
            newer.write_text("not decryptable")
            newer.rename(path)
        lock(file, how)

    monkeypatch.setattr(spool.fcntl, "flock", lock_too_late)
    assert (spool.replay(path), path.read_text(), texts(call)) == (False, "not decryptable", [])


def test_a_file_that_another_has_written_meanwhile_is_nothing_any_more(call: Call, folder: Path) -> None:
    path = left(call)
    assert (spool.replay(path), spool.replay(path), call.turns.count()) == (True, False, 2)


def test_what_the_database_has_is_taken_from_the_disk(call: Call, folder: Path) -> None:
    file = SpoolFile(str(call.pk))
    file.write(page_of(call))
    file.remove()
    assert list(folder.iterdir()) == []


def test_a_call_that_somebody_ended_meanwhile_keeps_that_end_and_gets_its_turns(call: Call, folder: Path) -> None:
    left(call, ending=ANSWERED)
    lifecycle.end(call, by="user:1", outcome=Outcome.CANCELED, reason="staff.canceled")
    assert replay() == [True]
    call.refresh_from_db()
    assert (call.ended_reason, call.turns.count(), call.usage) == ("staff.canceled", 2, {"model": {"output_tokens": 7}})


def dialled(call: Call) -> Call:
    taken = lifecycle.claim_for_dial(call_id=call.pk, claim=call.claim, by="job:1", worker="job:1")
    assert taken is not None
    return taken


def test_a_call_whose_job_died_before_it_could_say_so_was_answered(call: Call, folder: Path) -> None:
    lifecycle.ringing(dialled(call), by="job:1")
    left(call, answered_at=AT.isoformat())
    assert replay() == [True]
    call.refresh_from_db()
    assert (call.status, call.answered_at) == ("in_progress", AT)
    lifecycle.end(call, by="reconciler", outcome=Outcome.FAILED, reason="error.platform.worker_lost")
    assert call.outcome == "answered"


def test_an_answer_says_nothing_of_a_call_that_another_holds(call: Call, folder: Path) -> None:
    lifecycle.ringing(dialled(call), by="job:1")
    left(call, answered_at=AT.isoformat(), claim="an older one")
    assert replay() == [True]
    call.refresh_from_db()
    assert (call.status, call.answered_at) == ("ringing", None)


def test_a_file_that_cannot_be_decrypted_is_set_aside(call: Call, folder: Path) -> None:
    left(call).write_text("v1.unknown.AAAA")
    assert replay() == [False]
    assert [path.suffix for path in folder.iterdir()] == [".unreadable"]


def test_the_journal_of_a_call_that_was_erased_is_dropped(call: Call, folder: Path) -> None:
    left(call)
    Call.objects.all().delete()
    assert (replay(), list(folder.iterdir())) == ([True], [])


def test_a_machine_that_kept_nothing_has_nothing_to_replay(folder: Path) -> None:
    assert replay() == []


def test_what_a_process_left_unfinished_is_cleared_away_once_it_is_surely_dead(folder: Path) -> None:
    folder.mkdir()
    for name, age_s in (("new.part", 1), ("old.part", 600)):
        (folder / name).touch()
        os.utime(folder / name, times=(time.time() - age_s,) * 2)
    assert (spool.waiting(), [path.name for path in folder.iterdir()]) == ([], ["new.part"])


def test_files_stay_while_the_database_is_away(call: Call, folder: Path, outage: Outage) -> None:
    left(call)
    outage.away = True
    with pytest.raises(OperationalError):
        replay()
    outage.away = False
    assert replay() == [True]


def test_a_disk_that_is_full_leaves_what_was_there(call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = SpoolFile(str(call.pk))
    file.write(page_of(call))

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        file.write(page_of(call, turns=(turn(3),)))
    monkeypatch.undo()
    file.let_go()
    assert spool.replay(folder / next(path.name for path in folder.glob("*.spool"))) is True
    assert texts(call) == ["turn 1", "turn 2"]

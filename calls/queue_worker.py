"""The queue worker: parts that run side by side, each in a thread of its own, so that none waits for another."""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

import structlog
from django.db import connections

from . import dialer, engine, lines, tasks
from .doorbell import Doorbell
from .engine.steps import Step, attempt, ring
from .reconcile import STEPS_EVERY_S, Reconciler
from .rooms import Rooms

log = structlog.get_logger(__name__)

# Runs until the event is set. What it raises is logged, and it is started again.
Part = Callable[[threading.Event], None]
# What nobody rings the dialer for, because time alone made it due, waits at most this long.
IDLE_S = 1.0
AFTER_AN_ERROR_S = 1.0
SWEEPS_EVERY_S = 1.0
TIDIES_EVERY_S = 15.0
# What is under way gets so long once the worker is told to stop.
DRAINS_WITHIN_S = 15.0


def parts(*, idle_s: float = IDLE_S) -> dict[str, Part]:
    """What the worker consists of. Without a phone line no phone is dialled; the rest goes on."""
    found: dict[str, Part] = {"engine": engine.work, "sweep": sweep, "reconciler": reconcile}
    if lines.phone_is_configured():
        found["dialer"] = partial(dial, idle_s=idle_s)
    return found


def run(stop: threading.Event, *, idle_s: float = IDLE_S) -> bool:
    """Run every part until `stop` is set, then let each end what it is at. False: one of them did not in time."""
    threads = [
        threading.Thread(target=keep, args=(name, part, stop), name=name, daemon=True) for name, part in parts(idle_s=idle_s).items()
    ]
    for thread in threads:
        thread.start()
    stop.wait()
    deadline = time.monotonic() + DRAINS_WITHIN_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = [thread.name for thread in threads if thread.is_alive()]
    if late:
        log.warning("parts of the queue worker did not end in time", parts=late)
    return not late


def keep(name: str, part: Part, stop: threading.Event) -> None:
    """Run `part` until `stop` is set; whatever ends it before that (the database went away) is logged, and it is started again."""
    log.info("part of the queue worker started", part=name, thread=threading.get_native_id())
    while not stop.is_set():
        try:
            part(stop)
        except Exception:  # the outermost loop of a thread: without it the others would go on, and nobody would miss this one
            log.exception("a part of the queue worker failed", part=name)
            stop.wait(AFTER_AN_ERROR_S)
        finally:
            connections.close_all()


def dial(stop: threading.Event, *, idle_s: float = IDLE_S) -> None:
    """Give due phone calls to agents, woken by the doorbell; in the end, let the rooms that are being opened be opened."""
    rooms = Rooms()
    doorbell = Doorbell(stop)
    try:
        work([partial(dialer.dial_due, rooms, doorbell.wake_in), partial(dialer.settle_due, rooms)], stop, doorbell, idle_s=idle_s)
    finally:
        doorbell.close()
        rooms.close()


def reconcile(stop: threading.Event) -> None:
    """Look whether calls are as their rows say. A LiveKit that answers slowly holds up nobody else here."""
    reconciler, doorbell = Reconciler(), Doorbell(stop)
    try:
        work([partial(reconciler.step)], stop, doorbell, idle_s=STEPS_EVERY_S)
    finally:
        doorbell.close()
        reconciler.close()


def work(steps: Sequence["partial[bool]"], stop: threading.Event, doorbell: Doorbell, *, idle_s: float = IDLE_S) -> None:
    """Do what is due until `stop` is set. A step that fails is logged, and tried again after a rest."""
    while not stop.is_set():
        # Each in turn: a busy step must not starve the ones after it.
        results = [attempt(step, step=step.func.__name__) for step in steps]
        if None in results:
            stop.wait(AFTER_AN_ERROR_S)
        elif True not in results:
            doorbell.wait(idle_s)


def sweep(stop: threading.Event) -> None:
    """Ring for every step that is due, whoever rang for it before: so an engine that forgets, or is away, loses nothing."""
    tidied_at = float("-inf")
    while not stop.is_set():
        for step, due in tasks.STEPS.items():
            attempt(partial(_ring_if_due, step, due), step=f"sweep {step}")
        if time.monotonic() > tidied_at + TIDIES_EVERY_S:
            attempt(_tidy, step="tidy")
            tidied_at = time.monotonic()
        stop.wait(SWEEPS_EVERY_S)


def _ring_if_due(step: Step, due: tasks.Due) -> bool:
    is_due = due.is_due()
    if is_due:
        ring(step)
    return is_due


def _tidy() -> bool:
    engine.tidy()
    return True

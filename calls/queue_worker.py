"""The queue worker's loop: steps that each do what is due and say whether there was anything."""

import threading
from collections.abc import Callable, Sequence
from functools import partial

import structlog
from django.db import close_old_connections, connection, connections

from personas.seeding import seed_due_organizations

from . import dialer, lines
from .doorbell import Doorbell
from .reconcile import STEPS_EVERY_S, Reconciler
from .rooms import Rooms

log = structlog.get_logger(__name__)

Step = Callable[[], bool]
# What nobody rings for, because time alone made it due, waits at most this long.
IDLE_S = 0.5
AFTER_AN_ERROR_S = 1.0


def steps(rooms: Rooms | None, doorbell: Doorbell) -> Sequence[Step]:
    """What the worker does, in this order. Without `rooms` no phone is dialled; the rest goes on.

    A step that knows in how many seconds it has something to do again tells the doorbell.
    """
    others: list[Step] = [dialer.promote_due, partial(dialer.expire_due, rooms), seed_due_organizations]
    if rooms is None:
        return others
    return [partial(dialer.dial_due, rooms, doorbell.wake_in), partial(dialer.settle_due, rooms), *others]


def work(all_steps: Sequence[Step], stop: threading.Event, doorbell: Doorbell, *, idle_s: float = IDLE_S) -> None:
    """Do what is due until `stop` is set. A step that fails is logged, and tried again after a rest."""
    while not stop.is_set():
        worked = failed = False
        # Each in turn: a busy step must not starve the ones after it.
        for step in all_steps:
            try:
                worked |= step()
            except Exception:  # the outermost loop: one call's trouble, or a database away, must not end all calls' worker
                log.exception("a step failed", step=getattr(step, "func", step).__name__)
                connection.close()
                failed = True
        close_old_connections()
        if failed:
            stop.wait(AFTER_AN_ERROR_S)
        elif not worked:
            doorbell.wait(idle_s)


def run(stop: threading.Event, *, idle_s: float = IDLE_S) -> None:
    """Work until `stop` is set; then let the rooms that are being opened be opened."""
    rooms = Rooms() if lines.phone_is_configured() else None
    doorbell = Doorbell(stop)
    # Beside the others: a busy queue must not make it blind, and a LiveKit that answers slowly must not hold the queue up.
    reconciling = threading.Thread(target=_reconcile, args=(stop,), name="reconciler")
    reconciling.start()
    try:
        work(steps(rooms, doorbell), stop, doorbell, idle_s=idle_s)
    finally:
        doorbell.close()
        if rooms is not None:
            rooms.close()
        reconciling.join()


def _reconcile(stop: threading.Event) -> None:
    reconciler, doorbell = Reconciler(), Doorbell(stop)
    try:
        work([reconciler.step], stop, doorbell, idle_s=STEPS_EVERY_S)
    finally:
        doorbell.close()
        reconciler.close()
        connections.close_all()

"""Threads that act on a database of their own accord, and can be held between two statements: interleavings that a test chooses."""

import queue
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from django.db import connection

LONG_S = 20.0


class Hand:
    """Does one thing at a time, on one connection. `hold_after` says after which statement (1, 2, …; 0: none) it waits for `go_on`."""

    def __init__(self) -> None:
        self._orders: queue.SimpleQueue[tuple[Callable[[], Any], int] | None] = queue.SimpleQueue()
        self._may_go_on, self._has_stopped = threading.Event(), threading.Event()
        self.is_held = False
        self.is_busy = False
        self.pid = 0
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def begin(self, act: Callable[[], Any], *, hold_after: int) -> None:
        self.is_busy = True
        self._has_stopped.clear()
        self._orders.put((act, hold_after))

    def go_on(self) -> None:
        self.is_held = False
        self._has_stopped.clear()
        self._may_go_on.set()

    def has_stopped(self) -> bool:
        """Whether it is done, or held."""
        return self._has_stopped.wait(0.001)

    def close(self) -> None:
        self._orders.put(None)
        self._thread.join(LONG_S)
        assert not self._thread.is_alive()

    def _work(self) -> None:
        connection.ensure_connection()
        self.pid = connection.connection.info.backend_pid
        while (order := self._orders.get()) is not None:
            act, hold_after = order
            try:
                with connection.execute_wrapper(self._holding(hold_after)):
                    act()
            except BaseException as failure:  # noqa: BLE001  # whatever it is, the test has to hear of it, in its own thread
                self.failure = failure
            self.is_busy = False
            self._has_stopped.set()
        connection.close()

    def _holding(self, hold_after: int) -> Callable[..., Any]:
        executed = 0

        def execute(go: Callable[..., Any], *statement: Any) -> Any:
            nonlocal executed
            result = go(*statement)
            executed += 1
            if executed == hold_after:
                self.is_held = True
                self._has_stopped.set()
                assert self._may_go_on.wait(LONG_S)
                self._may_go_on.clear()
            return result

        return execute


class Hands:
    """Several of them, and the waiting until nothing moves: each is idle, held, or waits for a lock that a held one has."""

    def __init__(self, count: int) -> None:
        self._open = ExitStack()
        self.all = [Hand() for _ in range(count)]
        for hand in self.all:
            self._open.callback(hand.close)

    def idle(self) -> list[Hand]:
        return [hand for hand in self.all if not hand.is_busy]

    def held(self) -> list[Hand]:
        return [hand for hand in self.all if hand.is_held]

    def settle(self) -> None:
        """Return when nothing moves any more. Raises what one of them failed with."""
        deadline = time.monotonic() + LONG_S
        while moving := [hand for hand in self.all if hand.is_busy and not hand.has_stopped()]:
            if self.held() and {hand.pid for hand in moving} <= self._waiting_for_locks():
                break
            assert time.monotonic() < deadline, "a hand neither ends nor waits"
        for hand in self.all:
            if hand.failure is not None:
                failure, hand.failure = hand.failure, None
                raise failure

    def let_all_go(self) -> None:
        """Until all are idle. Raises what one of them failed with, once nobody is held any more."""
        failures: list[BaseException] = []
        while held := self.held():
            held[0].go_on()
            try:
                self.settle()
            except BaseException as failure:  # noqa: BLE001  # the others have to be let go first
                failures.append(failure)
        if failures:
            raise failures[0]

    def close(self) -> None:
        self._open.close()

    def _waiting_for_locks(self) -> set[int]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            return {pid for (pid,) in cursor.fetchall()}

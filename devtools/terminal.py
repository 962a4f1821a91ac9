"""Several processes in one terminal: started together, read together, stopped together."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence

from .environment import HERE

STOPS_WITHIN_S = 20
COLOURS = {"web": 36, "queue": 35, "agent": 32}
printing = threading.Lock()


def say(line: str, *, part: str = "dev") -> None:
    prefix = f"{part:<5} │"
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        prefix = f"\x1b[{COLOURS.get(part, 33)}m{prefix}\x1b[0m"
    with printing:
        print(f"{prefix} {line}", flush=True)


class Parts:
    """The processes of the product, in one terminal: started together, read together, stopped together."""

    def __init__(self) -> None:
        self.running: dict[str, subprocess.Popen[str]] = {}
        self.events: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()

    def start(
        self, name: str, command: Sequence[str], env: dict[str, str], *, ready: str = "", shown_after: threading.Event | None = None
    ) -> None:
        """`ready` is what stands in the line that says so; nothing is shown before `shown_after`.

        In a session of its own, Ctrl-C reaches the part only through us.
        """
        setpriv = shutil.which("setpriv")
        dies_with_us = [setpriv, "--pdeathsig=TERM", "--"] if setpriv else []  # so that nothing keeps the port when we are killed
        process = subprocess.Popen(
            [*dies_with_us, *command],
            cwd=HERE,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.running[name] = process
        threading.Thread(target=self._read, args=(name, process, ready, shown_after), daemon=True).start()
        threading.Thread(target=self._wait, args=(name, process), daemon=True).start()

    def _read(self, name: str, process: subprocess.Popen[str], ready: str, shown_after: threading.Event | None) -> None:
        assert process.stdout
        if shown_after:
            shown_after.wait()
        with process.stdout:
            for line in process.stdout:
                say(line.rstrip(), part=name)
                if ready and ready in line:
                    self.events.put(("ready", name))

    def _wait(self, name: str, process: subprocess.Popen[str]) -> None:
        process.wait()
        self.events.put(("ended", name))

    def watch_page(self, name: str, url: str) -> None:
        """Say "ready" of `name` as soon as `url` answers."""

        def ask() -> None:
            while self.running[name].poll() is None:
                try:
                    urllib.request.urlopen(url, timeout=2).close()
                except OSError:  # nobody listens yet, or it answers with an error
                    time.sleep(0.1)
                else:
                    self.events.put(("ready", name))
                    return

        threading.Thread(target=ask, daemon=True).start()

    def stop(self, *, within_s: float = STOPS_WITHIN_S) -> bool:
        """End all: kindly, then, at a second signal or after `within_s`, at once. True when all went kindly.

        SIGTERM goes to each part's first process alone: the agent's job processes finish their calls under it.
        """
        for process in self.running.values():
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + within_s
        while any(process.poll() is None for process in self.running.values()):
            try:
                what, _name = self.events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                what = "signal"
            if what == "signal":
                break
        # uvicorn ends itself by the signal that it was asked with.
        kindly = all(process.poll() in (0, -signal.SIGTERM) for process in self.running.values())
        for process in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with whatever children it left
        return kindly


def supervise(parts: Parts, ready: Callable[[set[str]], None]) -> int:
    """Until Ctrl-C, or until a part ends by itself; `ready` hears which parts are. The exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: parts.events.put(("signal", "")))
    are_ready: set[str] = set()
    while True:
        try:
            # Not for ever: Python looks at a signal that came just before the wait only after it.
            what, name = parts.events.get(timeout=1)
        except queue.Empty:
            continue
        if what == "ready":
            are_ready.add(name)
            ready(are_ready)
        elif what == "ended":
            say(f"{name} ended by itself with exit code {parts.running[name].returncode}; stopping the others.")
            parts.stop()
            return 1
        else:
            say("Stopping; running calls are given a moment. Ctrl-C again ends everything at once.")
            return 0 if parts.stop() else 1

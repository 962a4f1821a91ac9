"""`manage.py run_agent` as a process of its own, on a database of its own, with nothing of this machine's settings."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tests.servers import Process, Program
from tests.servers.process import REPOSITORY, started

NOTHING_SET = dict.fromkeys(
    (
        "LIVEKIT_URL",
        "LIVEKIT_API_KEY",
        "LIVEKIT_API_SECRET",
        "SIP_TRUNK_ID",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "REDIS_URL",
        "SECRET_KEY",
    ),
    "",
)


def with_livekit(url: str, **more: str) -> dict[str, str]:
    """What the phone line needs; the model is nobody's."""
    return {
        "LIVEKIT_URL": url,
        "LIVEKIT_API_KEY": "devkey",
        "LIVEKIT_API_SECRET": "secret-secret-secret-secret-secret-secret",
        "SIP_TRUNK_ID": "ST_test",
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        **more,
    }


class Bench:
    """A database in a folder, and the commands that work on it. Without `migrated` it is empty."""

    def __init__(self, folder: Path, *, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.file = folder / "db.sqlite3"
        self.environment = {
            **os.environ,
            **NOTHING_SET,
            "DJANGO_SETTINGS_MODULE": "chamada.settings",
            "PYTHONPATH": str(REPOSITORY),
            "DEBUG": "true",
            "LOG_LEVEL": "INFO",
            "LOG_FORMAT": "json",
            "DATABASE_URL": f"sqlite:///{self.file}",
            "JOURNAL_SPOOL": str(folder / "spool"),
            "MEDIA_ROOT": str(folder / "media"),
            **(environment or {}),
        }

    @classmethod
    def copy_of(cls, database: Path, folder: Path) -> Self:
        shutil.copy(database, folder / database.name)
        return cls(folder)

    def manage(self, *arguments: str, within_s: float = 60) -> subprocess.CompletedProcess[str]:
        return self._run(str(REPOSITORY / "manage.py"), *arguments, within_s=within_s)

    def run_agent(self, *arguments: str, within_s: float = 60) -> subprocess.CompletedProcess[str]:
        """For an agent that ends by itself."""
        return self.manage("run_agent", "--health-port=0", "--metrics-port=0", *arguments, within_s=within_s)

    def queue(self, count: int = 1) -> list[str]:
        """Ask for that many sandbox calls; their ids."""
        return self._checked("-m", "tests.agent_worker.desk", "queue", str(count)).split()

    def dispatch(self) -> dict[str, Any]:
        """A call on the phone line that waits for a job; the room and the metadata of its dispatch."""
        told: dict[str, Any] = json.loads(self._checked("-m", "tests.agent_worker.desk", "dispatch"))
        return told

    def calls(self) -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = json.loads(self._checked("-m", "tests.agent_worker.desk", "show"))
        return shown

    def statuses(self) -> list[str]:
        """Of all calls, oldest first; quick."""
        with sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=5) as connection:
            return [status for (status,) in connection.execute("SELECT status FROM calls_call ORDER BY created_at")]

    @contextmanager
    def agent(self, *arguments: str) -> Iterator["Agent"]:
        """An agent that is ready."""
        command = [sys.executable, str(REPOSITORY / "manage.py"), "run_agent", "--health-port=0", "--metrics-port=0", *arguments]
        with started(Program(name="run_agent", command=command, folder=self.folder, environment=self.environment)) as process:
            agent = Agent(process)
            process.wait_until(lambda: agent.said("agent ready") != [], within_s=60)
            yield agent

    def _checked(self, *arguments: str) -> str:
        done = self._run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _run(self, *arguments: str, within_s: float = 60) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=self.folder, env=self.environment, check=False, capture_output=True, text=True, timeout=within_s)


class Agent:
    """A running agent, and what it logged."""

    def __init__(self, process: Process) -> None:
        self.process = process

    @property
    def ready(self) -> dict[str, Any]:
        """The fields of its ready line."""
        return self.said("agent ready")[0]

    def lines(self) -> list[dict[str, Any]]:
        text = self.process.log.read_text(errors="replace")
        return [json.loads(line) for line in text.splitlines() if re.match(r"^\{.*\}$", line)]

    def said(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line["event"] == event]

    def wait_until_said(self, event: str, within_s: float = 30) -> None:
        self.process.wait_until(lambda: self.said(event) != [], within_s=within_s)

    def ends(self, within_s: float = 30) -> int:
        """Its exit code."""
        return self.process.popen.wait(within_s)

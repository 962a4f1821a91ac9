"""PostgreSQL that forgets everything, and is fast for it."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .ports import LOOPBACK, free_port
from .process import Process, Program, find, started

OWNER = "postgres"  # initdb and postgres refuse to run as root
RECKLESS = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200"]
# Each commit is handed to the system before it is confirmed: it survives the death of the server, though not of the machine. What a
# connection asked last is kept whole, for who looks for the process behind it.
SURVIVES_A_KILL = ["synchronous_commit=on", "track_activity_query_size=16kB"]


@dataclass(frozen=True)
class PostgresServer:
    port: int
    process: Process

    def url(self, database: str = OWNER) -> str:
        return f"postgres://{OWNER}@{LOOPBACK}:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """A new, empty database; its URL."""
        command = [find("createdb"), "-h", LOOPBACK, "-p", str(self.port), "-U", OWNER, name]
        subprocess.run(command, check=True, capture_output=True, timeout=30)
        return self.url(name)


def _cluster(folder: Path) -> Path:
    data = folder / "data"
    initdb = [find("initdb"), "-D", str(data), "-U", OWNER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    if os.geteuid() == 0:
        shutil.chown(folder, OWNER, OWNER)
    command = Program(name="initdb", command=initdb, folder=folder, user=OWNER).full_command()
    done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")
    return data


@contextmanager
def postgres_server(*, keeps: bool = False) -> Iterator[PostgresServer]:
    """A PostgreSQL that accepts connections of the role `postgres` without a password; run as that user when we are root.

    With `keeps` what it confirmed is there again when it is killed and started anew.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="chamada-postgres-") as name:
        folder = Path(name)
        data = _cluster(folder)
        settings = [f"listen_addresses={LOOPBACK}", f"port={port}", f"unix_socket_directories={folder}", *RECKLESS]
        settings += SURVIVES_A_KILL if keeps else []
        command = [find("postgres"), "-D", str(data), *(part for setting in settings for part in ("-c", setting))]
        # SIGQUIT is its immediate shutdown: it takes its children and its shared memory with it.
        program = Program(name="postgres", command=command, folder=folder, user=OWNER, orphaned="QUIT", stop_signal=signal.SIGQUIT)
        with started(program) as process:
            ready = [find("pg_isready"), "-q", "-h", LOOPBACK, "-p", str(port), "-U", OWNER]
            process.wait_until(lambda: subprocess.run(ready, check=False, timeout=10).returncode == 0)
            yield PostgresServer(port, process)

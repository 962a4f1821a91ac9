"""Programs as child processes: found, started, waited for, and dead when their test is over, however it ended."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
POLL_S = 0.05
TAIL_LINES = 100
LINE_CHARACTERS = 400

running: list["Process"] = []  # what a failed test shows the logs of


class ProgramMissing(Exception):
    """{name} is neither in PATH nor in .tools/bin. `python3 dev.py test --all` says how to install it."""

    def __init__(self, name: str) -> None:
        super().__init__((self.__doc__ or "").format(name=name))


class NotReady(Exception):
    """A server did not become ready; what it wrote last follows."""

    def __init__(self, process: "Process", why: str) -> None:
        super().__init__(f"{process.name} {why}\n{process.tail()}")


def find(name: str) -> str:
    """The program's path: PATH, the project's own .tools/bin, or Debian's place for PostgreSQL. Raises ProgramMissing."""
    tools = str(REPOSITORY / ".tools/bin")
    debian = [str(folder) for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), tools, *debian]))
    if path is None:
        raise ProgramMissing(name)
    return path


@dataclass(kw_only=True)
class Program:
    """How to start a program.

    `user` is whom to run it as when we are root. `niceness` (0 to 19) is how far it stands back for the others when the processors are
    busy. The kernel sends `orphaned` to it when the thread that started it dies, so that a killed
    test run leaves nothing behind; that needs setpriv (util-linux), and without it only a test run that ends by itself cleans up.
    """

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str] | None = None
    user: str = ""
    orphaned: str = "KILL"
    stop_signal: signal.Signals = signal.SIGTERM
    niceness: int = 0

    def full_command(self) -> list[str]:
        setpriv = shutil.which("setpriv")
        command = ["nice", "-n", str(self.niceness), *self.command] if self.niceness else list(self.command)
        if setpriv is None:
            return command
        as_user = [f"--reuid={self.user}", f"--regid={self.user}", "--init-groups"] if self.user and os.geteuid() == 0 else []
        return [setpriv, *as_user, f"--pdeathsig={self.orphaned}", "--", *command]


@dataclass
class Process:
    """A started program; its output goes to `log`."""

    program: Program
    log: Path
    popen: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        with self.log.open("ab") as output:
            self.popen = subprocess.Popen(
                self.program.full_command(),
                cwd=self.program.folder,
                env=self.program.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        running.append(self)

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def pid(self) -> int:
        return self.popen.pid

    def tail(self) -> str:
        """The last lines of its output, long ones cut."""
        text = self.log.read_text(errors="replace")
        return "\n".join(line[:LINE_CHARACTERS] for line in text.splitlines()[-TAIL_LINES:])

    def wait_until(self, ready: Callable[[], bool], *, within_s: float = 30) -> None:
        """Return when `ready()` is true. Raises NotReady with the log when the process dies first or time is up."""
        deadline = time.monotonic() + within_s
        while not ready():
            if self.popen.poll() is not None:
                raise NotReady(self, f"ended with exit code {self.popen.returncode}")
            if time.monotonic() > deadline:
                raise NotReady(self, f"was not ready within {within_s:g} s")
            time.sleep(POLL_S)

    def signal(self, number: signal.Signals) -> None:
        """Signal the whole process group; one that has ended already is not an error."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            self.popen.poll()

    def stop(self, *, within_s: float = 10) -> int:
        """End it and all its children, kindly first; its exit code."""
        if self.popen.poll() is None:
            self.signal(self.program.stop_signal)
            with suppress(subprocess.TimeoutExpired):  # then it is killed, with whatever children it has
                self.popen.wait(within_s)
        self.signal(signal.SIGKILL)
        code = self.popen.wait(within_s)
        if self in running:
            running.remove(self)
        return code


@contextmanager
def started(program: Program) -> Iterator[Process]:
    """The program, running until the block ends."""
    process = Process(program, program.folder / f"{program.name}.log")
    try:
        yield process
    finally:
        process.stop()

"""dev.py: the environment is made once, the product runs in one terminal and ends as one, and the last line tells the whole run."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools import running, testing
from devtools.environment import digest, environment, keys
from devtools.terminal import Parts, supervise

ROOT = Path(__file__).resolve().parents[1]
PYTHON = sys.executable


# --- The environment --------------------------------------------------------------------------------------------------


class Folder:
    """A clone whose installations are counted instead of made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.installed: list[str] = []
        (path / ".venv/bin").mkdir(parents=True)
        for name in ("requirements.txt", "requirements-dev.txt"):
            (path / name).write_text(f"{name} 1")

    def want(self, name: str) -> list[str]:
        """What was installed so that the environment holds `name`."""
        self.installed.clear()
        environment(name, folder=self.path, sync=lambda file: self.installed.append(file.name))
        return self.installed


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_what_is_installed_already_is_not_installed_again(folder: Folder) -> None:
    assert folder.want("requirements.txt") == ["requirements.txt"]
    assert folder.want("requirements.txt") == []


def test_a_changed_file_is_installed(folder: Folder) -> None:
    folder.want("requirements.txt")
    (folder.path / "requirements.txt").write_text("requirements.txt 2")
    assert folder.want("requirements.txt") == ["requirements.txt"]


def test_running_does_not_take_the_tests_packages_away(folder: Folder) -> None:
    folder.want("requirements.txt")
    assert folder.want("requirements-dev.txt") == ["requirements-dev.txt"]
    assert folder.want("requirements.txt") == []
    (folder.path / "requirements.txt").write_text("requirements.txt 2")
    assert folder.want("requirements.txt") == ["requirements-dev.txt"]


def test_an_environment_that_somebody_made_for_the_tests_keeps_their_packages(folder: Folder) -> None:
    (folder.path / ".venv/bin/pytest").touch()
    assert folder.want("requirements.txt") == ["requirements-dev.txt"]


def test_an_installation_that_was_cut_short_is_begun_again(folder: Folder) -> None:
    folder.want("requirements.txt")
    (folder.path / "requirements.txt").write_text("requirements.txt 2")

    def cut_short(_file: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        environment("requirements.txt", folder=folder.path, sync=cut_short)
    (folder.path / "requirements.txt").write_text("requirements.txt 1")
    assert folder.want("requirements.txt") == ["requirements.txt"]


def test_the_machines_keys_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / ".dev/env"
    keys(file)
    first = digest(file)
    keys(file)
    assert digest(file) == first
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    made = dict(line.split("=", 1) for line in file.read_text().splitlines() if not line.startswith("#"))
    assert list(made) == ["SECRET_KEY", "FIELD_KEYS", "BLIND_INDEX_KEY", "AGENT_HEALTH_PORT", "AGENT_METRICS_PORT"]
    assert len(set(made.values())) == 4


def test_a_python_that_does_not_fit_is_one_sentence(tmp_path: Path) -> None:
    program = "import sys; sys.version = '3.14.0 x'; from devtools.environment import right_python; right_python()"
    done = subprocess.run(
        [PYTHON, "-c", program], cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stderr == "Chamada.ai runs on Python 3.11, and this is 3.14.0: apt-get install python3.11 python3.11-venv\n"
    assert done.returncode == 1


# --- dev.py run -------------------------------------------------------------------------------------------------------

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up and ready', flush=True); time.sleep(60)"
# The signal is waited for, not handled: one that comes between two lines of Python is not slept through.
POLITE = (
    "import signal; stop = {signal.SIGTERM}; signal.pthread_sigmask(signal.SIG_BLOCK, stop); print('up and ready'); signal.sigwait(stop)"
)
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid)
{POLITE}
"""


@pytest.fixture
def parts() -> Iterator[Parts]:
    it = Parts()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield it
    it.stop(within_s=0)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def start(parts: Parts, name: str, program: str) -> None:
    parts.start(name, [PYTHON, "-c", program], {**os.environ, "PYTHONUNBUFFERED": "1"}, ready="up and ready")


def when_ready(parts: Parts, names: set[str], number: signal.Signals) -> int:
    """Supervise, and send ourselves a signal as soon as all are ready; the exit code."""

    def ready(are_ready: set[str]) -> None:
        if are_ready == names:
            os.kill(os.getpid(), number)

    return supervise(parts, ready)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_ctrl_c_ends_every_part_kindly(parts: Parts, number: signal.Signals) -> None:
    start(parts, "web", POLITE)
    start(parts, "agent", POLITE)
    assert when_ready(parts, {"web", "agent"}, number) == 0
    assert {name: process.returncode for name, process in parts.running.items()} == {"web": 0, "agent": 0}


def test_a_part_that_ends_by_itself_is_said_and_ends_the_others(parts: Parts, capsys: pytest.CaptureFixture[str]) -> None:
    start(parts, "web", POLITE)
    start(parts, "agent", "import sys; sys.exit(3)")
    assert supervise(parts, lambda _ready: None) == 1
    assert "dev   │ agent ended by itself with exit code 3; stopping the others.\n" in capsys.readouterr().out
    assert parts.running["web"].returncode is not None


def test_a_part_that_does_not_end_is_killed_after_a_while(parts: Parts) -> None:
    start(parts, "web", STUBBORN)
    assert parts.events.get(timeout=10) == ("ready", "web")
    assert parts.stop(within_s=0.1) is False
    assert parts.running["web"].wait(5) == -signal.SIGKILL


def test_a_second_ctrl_c_ends_everything_at_once(parts: Parts) -> None:
    start(parts, "web", STUBBORN)
    assert parts.events.get(timeout=10) == ("ready", "web")
    parts.events.put(("signal", ""))
    started = time.monotonic()
    assert parts.stop(within_s=60) is False
    assert time.monotonic() - started < 10


def test_what_a_part_leaves_behind_is_ended_with_it(parts: Parts, capsys: pytest.CaptureFixture[str]) -> None:
    start(parts, "agent", PARENT)
    assert parts.events.get(timeout=10) == ("ready", "agent")
    child = int(capsys.readouterr().out.splitlines()[0].split()[-1])
    assert parts.stop() is True
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child}").exists() and Path(f"/proc/{child}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline, "the child of a stopped part is still running"


def test_every_line_says_which_part_wrote_it(parts: Parts, capsys: pytest.CaptureFixture[str]) -> None:
    start(parts, "queue", "print('first'); print('up and ready')")
    assert parts.events.get(timeout=10) == ("ready", "queue")
    assert capsys.readouterr().out == "queue │ first\nqueue │ up and ready\n"


def test_a_page_that_answers_is_ready(parts: Parts) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    start(parts, "web", f"import http.server as s; s.HTTPServer(('127.0.0.1', {port}), s.SimpleHTTPRequestHandler).serve_forever()")
    parts.watch_page("web", f"http://127.0.0.1:{port}/")
    assert parts.events.get(timeout=10) == ("ready", "web")


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit) as stopped:
            running.check_free(port)
    assert stopped.value.code == f"Port {port} is taken by another program: python3 dev.py run --port {port + 1}"


def test_a_second_run_in_one_folder_is_refused_in_one_sentence(tmp_path: Path) -> None:
    lock = running.only_one(tmp_path / ".dev/lock")
    with pytest.raises(SystemExit, match=r"^dev\.py run is running in this folder already\.$"):
        running.only_one(tmp_path / ".dev/lock")
    os.close(lock)
    os.close(running.only_one(tmp_path / ".dev/lock"))


def test_the_summary_can_be_copied_and_run() -> None:
    demo = {"site": "http://127.0.0.1:8000/", "admin": "http://127.0.0.1:8000/admin/", "email": "e", "password": "p", "api_key": "chm_1"}
    lines = "\n".join(running.summary(demo | {"line": "sandbox"}))
    assert "curl -X POST http://127.0.0.1:8000/api/start_call -H 'Authorization: Bearer chm_1' \\\n" in lines
    body = json.loads(lines.rpartition("-d '")[2].rstrip("'"))
    assert body == {"phone_number": "+351910000001", "persona": "restaurante", "customer_name": "Ana"}


def test_the_summary_rings_no_strangers_phone() -> None:
    demo = {"site": "http://127.0.0.1:8000/", "admin": "a", "email": "e", "password": "", "api_key": "chm_1", "line": "phone"}
    lines = "\n".join(running.summary(demo))
    assert '"phone_number": "+351…"' in lines
    assert "(the password was changed in the admin)" in lines


# --- dev.py test ------------------------------------------------------------------------------------------------------


def test_the_closing_line_adds_up_all_runs() -> None:
    lines = ["===== 12 passed, 3 skipped in 4.50s =====\n", "==== 1 failed, 5 passed, 2 errors, 1 warning in 61.25s (0:01:01) ====\n"]
    assert testing.closing_line(lines) == "==== 1 failed, 17 passed, 3 skipped, 2 error, 1 warning in 65.75s ===="


def test_a_failed_step_does_not_keep_the_others_from_running(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "test_good.py", tmp_path / "test_bad.py"
    good.write_text("def test_good(): pass\n")
    bad.write_text("def test_bad(): assert False\n")
    options = ["-q", "-p", "no:django", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path)]
    steps = testing.Steps()
    steps.pytest("bad", *options, str(bad))
    steps.pytest("good", *options, str(good))
    assert steps.failed == ["bad"]
    assert steps.finish() == 1
    last = capfd.readouterr().out.splitlines()
    assert last[-2] == "FAILED bad"
    assert last[-1].startswith("==== 1 failed, 1 passed in ")


def test_the_help_names_what_dev_py_does() -> None:
    done = subprocess.run([PYTHON, "dev.py", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines() if line.startswith("    ")] == ["run", "test", "e2e", "chaos"]

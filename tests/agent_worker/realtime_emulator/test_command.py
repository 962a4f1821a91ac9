"""manage.py run_realtime_emulator, as the process that a person starts."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "manage.py", "run_realtime_emulator"]
TIMEOUT_S = 30


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    (tmp_path / "closed.yaml").write_text("faults: [{kind: http, status: 401}]", encoding="utf-8")
    return tmp_path


@pytest.fixture
def process(scripts: Path) -> Iterator[subprocess.Popen[str]]:
    arguments = ["--port", "0", "--scripts", str(scripts), "--default", "closed"]
    with subprocess.Popen([*COMMAND, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        yield running
        if running.poll() is None:
            running.kill()


def status_of(url: str, key: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}/models", headers={"Authorization": f"Bearer {key}"})) as answer:
            return int(answer.status) if json.load(answer)["object"] == "list" else 0
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_and_stops_when_told(process: subprocess.Popen[str], stop: signal.Signals) -> None:
    assert process.stdout
    said = re.fullmatch(
        r"The Realtime emulator listens on (http://127\.0\.0\.1:\d+/v1) \(keys: sk-emu-<script>\)\.\n", process.stdout.readline()
    )
    assert said
    assert (status_of(said[1], "sk-anything"), status_of(said[1], "sk-emu-mind")) == (401, 200)
    process.send_signal(stop)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out, err) == (0, "The Realtime emulator has stopped.\n", "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--port", "80000"], "CommandError: Cannot listen on 127.0.0.1:80000: bind(): port must be 0-65535.\n"),
        (["--host", "192.0.2.1"], "CommandError: Cannot listen on 192.0.2.1:8123: "),
        (["--scripts", "/nowhere"], "CommandError: There is no directory /nowhere.\n"),
        (["--default", "nothing"], "CommandError: There is no script 'nothing'; there are bad_key, busy, "),
    ],
)
def test_what_is_wrong_is_one_sentence(arguments: list[str], sentence: str) -> None:
    done = subprocess.run([*COMMAND, *arguments], check=False, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert (done.returncode, done.stderr[: len(sentence)], done.stderr.count("\n")) == (1, sentence, 1)

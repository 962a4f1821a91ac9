"""The settings file with one environment or another, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"SECRET_KEY": "s" * 50, "FIELD_KEYS": "A" * 43 + "=", "BLIND_INDEX_KEY": "B" * 42 + "A="}


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`manage.py` with these variables, and every other one unset."""
    from tests.architecture.test_settings_file import documented

    bare = {**os.environ, **dict.fromkeys(documented(), ""), "DJANGO_SETTINGS_MODULE": "chamada.settings", **environment}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True, timeout=60, check=False)


def test_an_empty_environment_is_enough() -> None:
    done = manage("check", "--fail-level", "WARNING")
    assert (done.stdout.strip(), done.returncode) == ("System check identified no issues (0 silenced).", 0), done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("AGENT_MAX_CALLS", "many", "Settings: AGENT_MAX_CALLS is “many”, and has to be a whole number."),
        ("LIVEKIT_URL", "livekit", "Settings: LIVEKIT_URL is not an address that starts with ws:// or wss:// or http:// or https://."),
        ("LIVEKIT_API_KEY", "alone", "Settings: LIVEKIT_API_KEY and LIVEKIT_API_SECRET belong together: set both, or neither."),
        (
            "TRANSFER_PHONE_NUMBER",
            "112",
            "Settings: TRANSFER_PHONE_NUMBER is not an international phone number: + and country first, as in +351 912 345 678.",
        ),
    ],
)
def test_a_wrong_setting_is_one_sentence_and_no_traceback(variable: str, value: str, sentence: str) -> None:
    done = manage("check", **{variable: value})
    assert (done.stderr.strip(), done.returncode) == (sentence, 1)


def test_the_web_server_says_the_same_sentence() -> None:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "chamada.settings", "WEB_THREADS": "none"}
    command = [sys.executable, "-m", "uvicorn", "chamada.asgi:application", "--port", "0"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stderr.strip(), done.returncode) == ("Settings: WEB_THREADS is “none”, and has to be a whole number.", 1)


def test_keys_that_everybody_knows_are_refused_where_data_is_to_last() -> None:
    done = manage("check", DATABASE_URL="postgres://user@127.0.0.1/chamada", REDIS_URL="redis://127.0.0.1")
    assert [word for word in done.stderr.split() if word.startswith("(chamada.")] == ["(chamada.E001)", "(chamada.E002)", "(chamada.E003)"]
    assert done.returncode == 1


def test_keys_of_ones_own_are_enough_where_data_is_to_last() -> None:
    done = manage("check", DATABASE_URL="postgres://user@127.0.0.1/chamada", REDIS_URL="redis://127.0.0.1", **KEYS)
    assert done.returncode == 0, done.stderr

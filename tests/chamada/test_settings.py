"""The settings file with one environment or another, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"SECRET_KEY": "s" * 50, "FIELD_KEYS": "A" * 43 + "=", "BLIND_INDEX_KEY": "B" * 42 + "A="}


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Python with these variables, and every other one of ours unset."""
    from tests.architecture.test_settings_file import documented

    bare = {**os.environ, **dict.fromkeys(documented(), ""), "DJANGO_SETTINGS_MODULE": "chamada.settings", **environment}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=bare, capture_output=True, text=True, timeout=60, check=False)


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return python("manage.py", *arguments, **environment)


def started(module: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a web server does first: it loads `module`."""
    # Without static files collected, whitenoise warns.
    return python("-W", "ignore::UserWarning", "-c", f"from {module} import application", **environment)


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
    done = python("-m", "uvicorn", "chamada.asgi:application", "--port", "0", WEB_THREADS="none")
    assert (done.stderr.strip(), done.returncode) == ("Settings: WEB_THREADS is “none”, and has to be a whole number.", 1)


@pytest.mark.parametrize("module", ["chamada.asgi", "chamada.wsgi"])
def test_the_web_server_does_not_start_with_keys_that_everybody_knows(module: str) -> None:
    done = started(module, DATABASE_URL="postgres://user@127.0.0.1/chamada", FIELD_KEYS=KEYS["FIELD_KEYS"])
    assert done.returncode == 1
    assert done.stderr == (
        "Settings: SECRET_KEY is not set: sessions and tokens could be forged by anybody who reads the source. "
        "Set SECRET_KEY to at least 50 random characters.\n"
        "Settings: BLIND_INDEX_KEY is not set: the do-not-call list would forget everybody when SECRET_KEY changes. "
        "`manage.py generate_key` makes one. It is never changed afterwards.\n"
    )


@pytest.mark.parametrize("module", ["chamada.asgi", "chamada.wsgi"])
def test_the_web_server_starts_with_keys_of_ones_own(module: str) -> None:
    done = started(module, DATABASE_URL="postgres://user@127.0.0.1/chamada", **KEYS)
    assert (done.stderr, done.returncode) == ("", 0)


def test_keys_that_everybody_knows_are_refused_where_data_is_to_last() -> None:
    done = manage("check", DATABASE_URL="postgres://user@127.0.0.1/chamada", REDIS_URL="redis://127.0.0.1")
    assert [word for word in done.stderr.split() if word.startswith("(chamada.")] == ["(chamada.E001)", "(chamada.E002)", "(chamada.E003)"]
    assert done.returncode == 1


def test_keys_of_ones_own_are_enough_where_data_is_to_last() -> None:
    done = manage("check", DATABASE_URL="postgres://user@127.0.0.1/chamada", REDIS_URL="redis://127.0.0.1", **KEYS)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", ["deploy/systemd/chamada-web.service", "devtools/running.py", "README.md"])
def test_every_way_of_starting_leaves_addresses_to_us(file: str) -> None:
    text = (ROOT / file).read_text()
    assert ("--no-proxy-headers" in text, "--no-access-log" in text) == (True, True)

"""What a variable may hold, and the sentence when it holds something else."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from chamada.environment import Environment, WrongSetting

KEY = "A" * 43 + "="
NO_KEY = "X has a character in it that no key has: only ASCII letters, digits and signs, and no spaces."
NO_HOST = "X names “{}”, and has to name hosts alone, without https://, port or path: chamada.example."


@pytest.fixture
def env(tmp_path: Path) -> Iterator[Environment]:
    with mock.patch.dict(os.environ):
        os.environ.pop("X", None)
        yield Environment(tmp_path)


def set_to(value: str) -> None:
    os.environ["X"] = value


@pytest.mark.parametrize(
    ("read", "value", "is_read"),
    [
        (lambda env: env.text("X", "default"), "  spaces go ", "spaces go"),
        (lambda env: env.text("X", "default"), "", "default"),
        (lambda env: env.words("X"), "a, b,,", ["a", "b"]),
        (
            lambda env: env.hosts("X"),
            "chamada.example,.chamada.example,127.0.0.1,[::1],*",
            ["chamada.example", ".chamada.example", "127.0.0.1", "[::1]", "*"],
        ),
        (lambda env: env.secret("X"), " sk-proj_1+/=~! ", "sk-proj_1+/=~!"),
        (lambda env: env.secret("X"), "", ""),
        (lambda env: env.flag("X", default=False), "Yes", True),
        (lambda env: env.flag("X", default=True), "off", False),
        (lambda env: env.flag("X", default=True), "", True),
        (lambda env: env.number("X", 8, least=1, most=10), "10", 10),
        (lambda env: env.number("X", 8, least=1, most=10), "", 8),
        (lambda env: env.choice("X", "a", ("a", "b")), "b", "b"),
        (lambda env: env.choice("X", "a", ("a", "b")), "", "a"),
        (lambda env: env.phone("X"), "+351 910 000 001", "+351910000001"),
        (lambda env: env.phone("X"), "", ""),
        (lambda env: env.rate("X", "10/m"), "5/30s", "5/30s"),
        (lambda env: env.rate("X", "10/m"), "", "10/m"),
        (lambda env: env.url("X", ("https",)), "https://a.example/v1/", "https://a.example/v1"),
        (lambda env: env.url("X", ("https",), "https://default.example"), "", "https://default.example"),
        (lambda env: env.url("X", ("redis", "unix")), "unix:///run/redis.sock", "unix:///run/redis.sock"),
        (lambda env: env.keys("X"), f"{KEY},{KEY}", [KEY, KEY]),
        (lambda env: env.keys("X"), "", []),
    ],
)
def test_a_good_value_is_read(env: Environment, read: Callable[[Environment], object], value: str, is_read: object) -> None:
    set_to(value)
    assert read(env) == is_read


@pytest.mark.parametrize(
    ("read", "value", "sentence"),
    [
        (lambda env: env.flag("X", default=False), "perhaps", "X is “perhaps”, and can only be true or false."),
        (lambda env: env.number("X", 8, least=1, most=10), "many", "X is “many”, and has to be a whole number."),
        (lambda env: env.number("X", 8, least=1, most=10), "11", "X is 11, and has to be from 1 to 10."),
        (lambda env: env.choice("X", "a", ("a", "b")), "c", "X is “c”, and can only be one of a, b."),
        (
            lambda env: env.rate("X", "10/m"),
            "10 a minute",
            "X is “10 a minute”, and has to be a number per second, minute, hour or day: 120/m.",
        ),
        (
            lambda env: env.phone("X"),
            "910000001",
            "X is not an international phone number: + and country first, as in +351 912 345 678.",
        ),
        (lambda env: env.url("X", ("ws", "wss")), "livekit.example", "X is not an address that starts with ws:// or wss://."),
        (
            lambda env: env.rate("X", "10/m"),
            "5/0s",
            "X is “5/0s”, and has to be a number per second, minute, hour or day: 120/m.",
        ),
        (lambda env: env.secret("X"), "sk-é", NO_KEY),
        (lambda env: env.secret("X"), "sk -1", NO_KEY),
        (lambda env: env.hosts("X"), "a.example,https://b.example", NO_HOST.format("https://b.example")),
        (lambda env: env.hosts("X"), "a.example:8000", NO_HOST.format("a.example:8000")),
        (lambda env: env.hosts("X"), "a.example/", NO_HOST.format("a.example/")),
        (lambda env: env.url("X", ("ws", "wss")), "wss://x y", "X is not an address that starts with ws:// or wss://."),
        (lambda env: env.url("X", ("ws", "wss")), "wss://x\ty", "X is not an address that starts with ws:// or wss://."),
        (lambda env: env.url("X", ("ws", "wss")), "ws://host:port", "X is not an address that starts with ws:// or wss://."),
        (
            lambda env: env.keys("X"),
            f"{KEY},short",
            "X is not made of 32 bytes in URL-safe base64 (key 2). `manage.py generate_key` makes one.",
        ),
        (
            lambda env: env.database("X", Path("db.sqlite3")),
            "mysql://root:secret@host/name",
            "X is not an address that starts with postgres:// or postgresql://.",
        ),
        (
            lambda env: env.database("X", Path("db.sqlite3")),
            "postgres://host",
            "X names no database: postgres://user:password@host:5432/name.",
        ),
    ],
)
def test_a_wrong_value_is_one_sentence(env: Environment, read: Callable[[Environment], object], value: str, sentence: str) -> None:
    set_to(value)
    with pytest.raises(WrongSetting) as wrong:
        read(env)
    assert str(wrong.value) == sentence


@pytest.mark.parametrize(
    ("value", "engine", "name"),
    [
        ("", "django.db.backends.sqlite3", "/srv/db.sqlite3"),
        ("sqlite:////var/lib/chamada.db", "django.db.backends.sqlite3", "/var/lib/chamada.db"),
        ("postgres://user:p%40ss@db.example:5433/chamada", "django.db.backends.postgresql", "chamada"),
    ],
)
def test_the_database_is_sqlite_unless_an_address_says_otherwise(env: Environment, value: str, engine: str, name: str) -> None:
    set_to(value)
    config = env.database("X", Path("/srv/db.sqlite3"))
    assert (config["ENGINE"], config["NAME"]) == (engine, name)


def test_the_process_stands_over_env_local_that_over_env_and_that_over_the_machines_keys(tmp_path: Path) -> None:
    (tmp_path / ".dev").mkdir()
    (tmp_path / ".dev/env").write_text("A=dev\nB=dev\nC=dev\nD=dev\n")
    (tmp_path / ".env").write_text("A=env\nB=env\nC=env\n")
    (tmp_path / ".env.local").write_text("A=local\nB=local\n")
    with mock.patch.dict(os.environ, {"A": "process"}):
        env = Environment(tmp_path)
        assert [env.text(name) for name in "ABCD"] == ["process", "local", "env", "dev"]

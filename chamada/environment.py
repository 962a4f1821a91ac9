"""Reads the environment. A wrong value is one sentence.

The process's own variables stand over `.env.local`, that over `.env`, and that over `.dev/env`, where `dev.py run` keeps the keys it made.
"""

import base64
import binascii
import re
from pathlib import Path
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

FILES = (".env.local", ".env", ".dev/env")


class WrongSetting(ImproperlyConfigured):
    """A variable has a value that cannot be used."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem}")


class Environment:
    """The typed readers of the settings file. Each raises WrongSetting with the variable's name and what would be right."""

    def __init__(self, folder: Path) -> None:
        self._env = environ.Env()
        # No file overrides what is already set, so the first that names a variable wins.
        for name in FILES:
            if (folder / name).is_file():
                environ.Env.read_env(folder / name)

    def text(self, name: str, default: str = "") -> str:
        """The value; a variable that is set to nothing counts as unset."""
        return str(self._env.str(name, default)).strip() or default

    def words(self, name: str) -> list[str]:
        """A list, separated by commas."""
        return [word.strip() for word in self.text(name).split(",") if word.strip()]

    def hosts(self, name: str) -> list[str]:
        """Names of hosts as Django compares them: without scheme, port and path; “*” is all, and a dot at the front all within."""
        hosts = self.words(name)
        for host in hosts:
            if not re.fullmatch(r"\*|\.?[^\s/:]+|\[[^\s/\]]+\]", host):
                raise WrongSetting(name, f"names “{host}”, and has to name hosts alone, without https://, port or path: chamada.example.")
        return hosts

    def secret(self, name: str) -> str:
        """A key that travels in a header, or "" when the variable is unset."""
        value = self.text(name)
        if not re.fullmatch(r"[!-~]*", value):
            # The value is not repeated: a terminal and a log keep what they show.
            raise WrongSetting(name, "has a character in it that no key has: only ASCII letters, digits and signs, and no spaces.")
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self.text(name).lower()
        if value in ("1", "true", "yes", "on"):
            return True
        if value in ("0", "false", "no", "off"):
            return False
        if value:
            raise WrongSetting(name, f"is “{value}”, and can only be true or false.")
        return default

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        value = self.text(name)
        if not value:
            return default
        try:
            number = int(value)
        except ValueError:
            raise WrongSetting(name, f"is “{value}”, and has to be a whole number.") from None
        if not least <= number <= most:
            raise WrongSetting(name, f"is {number}, and has to be from {least} to {most}.")
        return number

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in choices:
            raise WrongSetting(name, f"is “{value}”, and can only be one of {', '.join(choices)}.")
        return value

    def phone(self, name: str) -> str:
        """A number as E.164 writes it, or "" when the variable is unset."""
        value = re.sub(r"[\s().-]", "", self.text(name))
        if value and not re.fullmatch(r"\+[1-9]\d{6,14}", value):
            raise WrongSetting(name, "is not an international phone number: + and country first, as in +351 912 345 678.")
        return value

    def rate(self, name: str, default: str) -> str:
        """So many in such a time, as the rate limiter writes it: 120/m, 10/h, 5/30s."""
        value = self.text(name, default)
        if not re.fullmatch(r"[1-9]\d*/(?:[1-9]\d*)?[smhd]", value):
            raise WrongSetting(name, f"is “{value}”, and has to be a number per second, minute, hour or day: 120/m.")
        return value

    def url(self, name: str, schemes: tuple[str, ...], default: str = "") -> str:
        """An address without a trailing slash, or "" when the variable is unset."""
        value = self.text(name, default)
        try:
            parts = urlsplit(value)
            where = parts.path if parts.scheme == "unix" else parts.hostname
            usable = parts.scheme in schemes and bool(where) and (parts.port is None or parts.port > 0) and not re.search(r"\s", value)
        except ValueError:
            usable = False
        if value and not usable:
            # The value is not repeated: addresses of databases carry passwords.
            raise WrongSetting(name, f"is not an address that starts with {' or '.join(f'{s}://' for s in schemes)}.")
        return value.rstrip("/")

    def database(self, name: str, default: Path) -> dict[str, object]:
        """Django's database settings from an address, SQLite at `default` when the variable is unset."""
        on_sqlite = not self.text(name) or self.text(name).startswith("sqlite:///")
        value = self.text(name, f"sqlite:///{default}") if on_sqlite else self.url(name, ("postgres", "postgresql"))
        config = dict(self._env.db_url_config(value))
        if not config["NAME"]:
            raise WrongSetting(name, "names no database: postgres://user:password@host:5432/name.")
        return config

    def keys(self, name: str) -> list[str]:
        """Keys of 32 random bytes each, in URL-safe base64, separated by commas."""
        keys = self.words(name)
        for position, key in enumerate(keys, 1):
            try:
                usable = len(base64.urlsafe_b64decode(key)) == 32
            except (binascii.Error, ValueError):
                usable = False
            if not usable:
                raise WrongSetting(
                    name, f"is not made of 32 bytes in URL-safe base64 (key {position}). `manage.py generate_key` makes one."
                )
        return keys

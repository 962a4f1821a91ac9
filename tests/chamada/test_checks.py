"""Each system check says what is missing, for what, under an id that stays."""

from typing import Any

import pytest
from django.core import checks
from pytest_django import Settings

from chamada.checks import check_keys, check_line, check_processes

LIVEKIT = {"LIVEKIT_URL": "wss://livekit.example", "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "secret"}


def ids(found: list[checks.CheckMessage]) -> list[str | None]:
    return [message.id for message in found]


def apply(settings: Settings, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(settings, name, value)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"ON_POSTGRESQL": False}, []),
        ({"ON_POSTGRESQL": True, "DEBUG": True}, []),
        ({"ON_POSTGRESQL": True, "DEBUG": False}, ["chamada.E001", "chamada.E002", "chamada.E003"]),
        ({"ON_POSTGRESQL": True, "DEBUG": False, "SECRET_KEY": "one's own", "DERIVED_KEYS": ["FIELD_KEYS"]}, ["chamada.E002"]),
        ({"ON_POSTGRESQL": True, "DEBUG": False, "SECRET_KEY": "one's own", "DERIVED_KEYS": []}, []),
    ],
)
def test_where_data_is_to_last_keys_are_ones_own(settings: Settings, values: dict[str, Any], found: list[str]) -> None:
    apply(settings, {"DERIVED_KEYS": ["FIELD_KEYS", "BLIND_INDEX_KEY"], "SECRET_KEY": settings.INSECURE_KEY, **values})
    assert ids(check_keys()) == found


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({}, []),
        ({"LIVEKIT_URL": "wss://livekit.example"}, ["chamada.E004"]),
        ({"LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "secret"}, ["chamada.E004"]),
        (LIVEKIT, ["chamada.W001", "chamada.W002"]),
        (LIVEKIT | {"OPENAI_API_KEY": "sk"}, ["chamada.W001"]),
        (LIVEKIT | {"SIP_TRUNK_ID": "ST_1"}, ["chamada.W002"]),
        (LIVEKIT | {"SIP_TRUNK_ID": "ST_1", "OPENAI_API_KEY": "sk"}, []),
    ],
)
def test_the_phone_line_needs_livekit_a_trunk_and_a_voice(settings: Settings, values: dict[str, str], found: list[str]) -> None:
    apply(settings, values)
    assert ids(check_line()) == found


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"ON_POSTGRESQL": True, "DEBUG": False, "REDIS_URL": ""}, ["chamada.W003"]),
        ({"ON_POSTGRESQL": True, "DEBUG": False, "REDIS_URL": "redis://127.0.0.1"}, []),
        ({"ON_POSTGRESQL": False, "DEBUG": False, "REDIS_URL": ""}, []),
    ],
)
def test_many_web_processes_need_redis(settings: Settings, values: dict[str, Any], found: list[str]) -> None:
    apply(settings, values)
    assert ids(check_processes()) == found


def test_every_finding_says_what_to_do(settings: Settings) -> None:
    apply(settings, LIVEKIT | {"ON_POSTGRESQL": True, "DEBUG": False, "DERIVED_KEYS": ["FIELD_KEYS", "BLIND_INDEX_KEY"]})
    found = [*check_keys(), *check_line(), *check_processes()]
    assert len(found) == 6
    assert [message for message in found if not message.hint] == []

"""System checks: which settings are missing, and for what. Ids are stable: E stops the start, W is said."""

from collections.abc import Iterator

from django.conf import settings
from django.core import checks

# What these say, the doctor finds out by itself: LiveKit, the trunk and OpenAI have lines of their own there.
ASKED_BY_NAME = frozenset({"chamada.E004", "chamada.W001", "chamada.W002"})
MAKE_A_KEY = "`manage.py generate_key` makes one."


def data_is_to_last() -> bool:
    """Whether this machine keeps other people's data: PostgreSQL, and not a developer's DEBUG."""
    return bool(settings.ON_POSTGRESQL) and not settings.DEBUG


@checks.register(checks.Tags.security)
def check_keys(**_: object) -> list[checks.CheckMessage]:
    return list(_keys()) if data_is_to_last() else []


def _keys() -> Iterator[checks.CheckMessage]:
    if settings.SECRET_KEY == settings.INSECURE_KEY:
        yield checks.Error(
            "SECRET_KEY is not set: sessions and tokens could be forged by anybody who reads the source.",
            hint="Set SECRET_KEY to at least 50 random characters.",
            id="chamada.E001",
        )
    if "FIELD_KEYS" in settings.DERIVED_KEYS:
        yield checks.Error(
            "FIELD_KEYS is not set: numbers, names and transcripts have no key of their own.", hint=MAKE_A_KEY, id="chamada.E002"
        )
    if "BLIND_INDEX_KEY" in settings.DERIVED_KEYS:
        yield checks.Error(
            "BLIND_INDEX_KEY is not set: the do-not-call list would forget everybody when SECRET_KEY changes.",
            hint=f"{MAKE_A_KEY} It is never changed afterwards.",
            id="chamada.E003",
        )


@checks.register("chamada")
def check_line(**_: object) -> list[checks.CheckMessage]:
    return list(_line())


def _line() -> Iterator[checks.CheckMessage]:
    if bool(settings.LIVEKIT_URL) != bool(settings.LIVEKIT_API_KEY):
        missing = "LIVEKIT_API_KEY and LIVEKIT_API_SECRET are" if settings.LIVEKIT_URL else "LIVEKIT_URL is"
        yield checks.Error(
            f"LiveKit is configured by half: {missing} not set.",
            hint="Set all three for the phone line, or none for the sandbox line alone.",
            id="chamada.E004",
        )
        return
    if not settings.LIVEKIT_URL:
        return
    if not settings.SIP_TRUNK_ID:
        yield checks.Warning(
            "SIP_TRUNK_ID is not set: no phone can be called, and calls go to the sandbox line.",
            hint="Create an outbound trunk in LiveKit and set its id (ST_…); the README shows how.",
            id="chamada.W001",
        )
    if not settings.OPENAI_API_KEY:
        yield checks.Warning(
            "OPENAI_API_KEY is not set: on the phone line the persona has no voice.",
            hint="Set the key of an OpenAI project that may use the Realtime API.",
            id="chamada.W002",
        )


@checks.register("chamada")
def check_processes(**_: object) -> list[checks.CheckMessage]:
    if data_is_to_last() and not settings.REDIS_URL:
        return [
            checks.Warning(
                "REDIS_URL is not set: each web process counts its rate limits alone.",
                hint="Set REDIS_URL as soon as more than one web process runs.",
                id="chamada.W003",
            )
        ]
    return []

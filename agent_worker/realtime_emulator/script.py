"""A script: who answers in a session, how fast, and what goes wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from agent_worker.realtime_emulator.faults import Fault, ScriptError, parse_faults
from agent_worker.realtime_emulator.speech import LANGUAGES

BUILT_IN = Path(__file__).parent / "scripts"


@dataclass(frozen=True)
class ToolCall:
    """A function that the model calls, with its arguments."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What one response does: words first, then calls."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    first_audio_ms: int | None = None


@dataclass(frozen=True)
class Script:
    """One conversation's script. `heard` is what the caller's turns say, in order, `replies` what the model does; where they end,
    the rule-based mind goes on. Times are milliseconds; `pace` is how many times faster than real time audio is sent.
    """

    name: str
    heard: tuple[str, ...] = ()
    replies: tuple[Reply, ...] = ()
    faults: tuple[Fault, ...] = ()
    locale: str = "pt-PT"
    obey: bool = False
    first_audio_ms: int = 320
    jitter_ms: int = 0
    transcription_ms: int = 250
    chunk_ms: int = 100
    pace: float = 4.0
    vad_dbfs: float = -42.0

    @classmethod
    def mind(cls, *, obey: bool = False, faults: tuple[Fault, ...] = (), **timing: Any) -> "Script":
        """No lines: the rule-based mind answers from the session's instructions. With `obey` it does what any caller orders."""
        return cls("obey" if obey else "mind", obey=obey, faults=faults, **timing)

    def with_faults(self, *faults: Mapping[str, Any]) -> "Script":
        return replace(self, faults=parse_faults(faults))


_NUMBERS = {"first_audio_ms", "jitter_ms", "transcription_ms", "chunk_ms", "pace", "vad_dbfs"}
_KEYS = {each.name for each in fields(Script)} - {"name", "heard", "replies"} | {"turns"}


def parse_script(raw: object, name: str) -> Script:
    """A script as YAML or the control API writes it. Raises ScriptError with one sentence."""
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        raise ScriptError(f"Script {name!r} is a mapping, not {type(raw).__name__}.")
    if unknown := sorted(set(raw) - _KEYS):
        raise ScriptError(f"Script {name!r} has unknown keys {', '.join(unknown)}; it may have {', '.join(sorted(_KEYS))}.")
    settings: dict[str, Any] = {key: value for key, value in raw.items() if key not in ("turns", "faults")}
    for key in _NUMBERS & set(settings):
        if not _is_number(settings[key]):
            raise ScriptError(f"Script {name!r}: {key} is a number, not {settings[key]!r}.")
    if settings.get("pace", 1) <= 0 or settings.get("chunk_ms", 1) <= 0:
        raise ScriptError(f"Script {name!r}: pace and chunk_ms are more than 0.")
    if settings.get("locale", "en") not in LANGUAGES:
        raise ScriptError(f"Script {name!r}: the locale is one of {', '.join(LANGUAGES)}.")
    turns = raw.get("turns") or []
    heard = tuple(str(turn["user"]) for turn in turns if isinstance(turn, dict) and "user" in turn)
    replies = tuple(_reply(turn, name) for turn in turns if not (isinstance(turn, dict) and "user" in turn))
    return Script(name, heard=heard, replies=replies, faults=parse_faults(raw.get("faults") or []), **settings)


def _reply(turn: object, name: str) -> Reply:
    if not isinstance(turn, dict) or not set(turn) <= {"assistant", "tool", "first_audio_ms"} or not {"assistant", "tool"} & set(turn):
        raise ScriptError(
            f"Script {name!r}: a turn is `user: text`, or `assistant: text` and/or `tool: {{name, arguments}}`, not {turn!r}."
        )
    tools = turn.get("tool") or []
    calls = []
    for tool in tools if isinstance(tools, list) else [tools]:
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str) or not isinstance(tool.get("arguments", {}), dict):
            raise ScriptError(f"Script {name!r}: a tool is {{name, arguments}}, not {tool!r}.")
        calls.append(ToolCall(tool["name"], tool.get("arguments", {})))
    first_audio_ms = turn.get("first_audio_ms")
    if first_audio_ms is not None and not _is_number(first_audio_ms):
        raise ScriptError(f"Script {name!r}: first_audio_ms is a number, not {first_audio_ms!r}.")
    return Reply(str(turn.get("assistant") or ""), tuple(calls), first_audio_ms)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def load_script(path: str | Path) -> Script:
    """The script in a YAML file, named after it; a bare name is a built-in one. Raises ScriptError."""
    path = Path(path)
    if not path.suffix:
        path = BUILT_IN / f"{path}.yaml"
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScriptError(f"The script {path} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise ScriptError(f"The script {path} is not YAML: {' '.join(str(error).split())}.") from error
    return parse_script(raw, path.stem)


def load_scripts(directory: str | Path = BUILT_IN) -> dict[str, Script]:
    """All scripts of a directory, by name. Raises ScriptError."""
    directory = Path(directory)
    if not directory.is_dir():
        raise ScriptError(f"There is no directory {directory}.")
    return {script.name: script for script in map(load_script, sorted(directory.glob("*.yaml")))}

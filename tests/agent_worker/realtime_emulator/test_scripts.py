"""Scripts as people write them."""

from pathlib import Path

import pytest

from agent_worker.realtime_emulator import Script, ScriptError, load_script, load_scripts
from agent_worker.realtime_emulator.script import Reply, ToolCall, parse_script


def test_a_script_is_read_from_a_file_and_named_after_it(tmp_path: Path) -> None:
    path = tmp_path / "reserva.yaml"
    path.write_text(
        """
        locale: pt-BR
        first_audio_ms: 200
        turns:
          - assistant: Oi!
          - user: Tem mesa?
          - {assistant: Vou ver., tool: {name: check}, first_audio_ms: 50}
          - tool: [{name: a, arguments: {x: 1}}, {name: b}]
        faults: [{kind: stall, response: 3}]
        """,
        encoding="utf-8",
    )
    script = load_script(path)
    assert (script.name, script.locale, script.first_audio_ms, script.heard) == ("reserva", "pt-BR", 200, ("Tem mesa?",))
    assert script.replies == (
        Reply("Oi!"),
        Reply("Vou ver.", (ToolCall("check", {}),), 50),
        Reply("", (ToolCall("a", {"x": 1}), ToolCall("b", {}))),
    )
    assert [(fault.kind, fault.response) for fault in script.faults] == [("stall", 3)]
    assert list(load_scripts(tmp_path)) == ["reserva"]


def test_a_bare_name_is_a_built_in_script() -> None:
    assert (load_script("obey").obey, load_script("mind")) == (True, Script.mind())


def test_an_empty_script_is_the_mind() -> None:
    assert parse_script(None, "x") == Script("x")


def test_a_script_can_be_given_faults() -> None:
    assert [fault.kind for fault in Script.mind(obey=True).with_faults({"kind": "stall"}).faults] == ["stall"]


@pytest.mark.parametrize(
    "raw",
    [
        ["turns"],
        {"turn": []},
        {"pace": "fast"},
        {"pace": 0},
        {"chunk_ms": True},
        {"locale": "fr"},
        {"turns": ["Olá"]},
        {"turns": [{"assistant": "a", "say": "b"}]},
        {"turns": [{"first_audio_ms": 3}]},
        {"turns": [{"assistant": "a", "first_audio_ms": "late"}]},
        {"turns": [{"tool": "end_call"}]},
        {"turns": [{"tool": {"name": "a", "arguments": "{}"}}]},
        {"faults": [{"kind": "drop"}]},
    ],
)
def test_a_script_that_is_written_wrongly_is_refused_in_a_sentence(raw: object) -> None:
    with pytest.raises(ScriptError) as refused:
        parse_script(raw, "x")
    assert (str(refused.value)[-1], "\n" in str(refused.value)) == (".", False)


def test_what_cannot_be_read_is_said_in_a_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("turns: [", encoding="utf-8")
    for path in (broken, tmp_path / "none.yaml"):
        with pytest.raises(ScriptError) as refused:
            load_script(path)
        assert (str(refused.value)[-1], "\n" in str(refused.value)) == (".", False)
    with pytest.raises(ScriptError, match="There is no directory"):
        load_scripts(tmp_path / "none")

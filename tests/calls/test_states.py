"""The table of states, and the page that is printed from it."""

from pathlib import Path

from django.core.management import call_command
from pytest_django import Settings

from calls import states_page
from calls.states import DIALLED, HOLDS_A_PLACE, HOLDS_THE_NUMBER, WAYS, Status, diagram, may_go


def test_every_state_can_be_reached_and_left_but_the_end() -> None:
    assert {new for ways in WAYS.values() for new in ways} | {Status.SCHEDULED} == set(Status)
    assert [status for status in Status if not WAYS[status]] == [Status.ENDED]


def test_a_call_that_was_dialled_never_waits_again() -> None:
    assert {new for status in DIALLED for new in WAYS[status]} == {*DIALLED, Status.ENDED} - {Status.DIALING}
    assert DIALLED < HOLDS_A_PLACE < HOLDS_THE_NUMBER


def test_the_diagram_shows_every_way_and_no_other() -> None:
    shown = {tuple(line.strip().split(" --> ")) for line in diagram().splitlines()[1:] if "[*]" not in line}
    assert shown == {(old.value, new.value) for old in Status for new in Status if may_go(old, new)}


def test_the_page_is_up_to_date() -> None:
    assert states_page.path().read_text(encoding="utf-8") == states_page.page(), "manage.py write_states"


def test_the_page_is_written_by_a_command(settings: Settings, tmp_path: Path) -> None:
    settings.BASE_DIR = tmp_path
    (tmp_path / "docs").mkdir()
    call_command("write_states", verbosity=0)
    assert (tmp_path / "docs/states.md").read_text(encoding="utf-8") == states_page.page()

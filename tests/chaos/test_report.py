"""The page on which kills add up can be read back, and added to."""

from pathlib import Path

from .facts import How, Kill, Saw, Victim
from .judge import Breach
from .kill import Judged, Result
from .report import FOUND, Totals, closing, keep, table
from .steps import STEPS

LONELY = Breach("not left alone", "21.0 s without a voice, 15.0 s are allowed")


def result(seed: int, *, victim: Victim = Victim.JOB, breaches: tuple[Breach, ...] = (), trouble: str = "") -> Result:
    kill = Kill(seed, STEPS[seed % len(STEPS)].name, victim, How.KILLED, at=1.0, back_at=2.0)
    answered = Judged("talks", Saw.ANSWERED, "answered", "assistant.end_call", breaches)
    return Result(kill, (answered, Judged("busy", Saw.BUSY, "busy", "dial.busy", ())), trouble)


def test_results_add_up_on_the_page(tmp_path: Path) -> None:
    page = tmp_path / "operations/kills.md"
    keep([result(7), result(8, victim=Victim.WEB)], page=page)
    keep([result(17, breaches=(LONELY,)), result(27, trouble="The step was not reached: a tool.")], page=page)
    totals = Totals.read(page.read_text())
    assert totals.counts == {("mid-turn", "job"): [3, 6, 2], ("in a tool", "web"): [1, 2, 0]}
    assert totals.page() == page.read_text()


def test_the_page_names_each_failure_with_its_seed(tmp_path: Path) -> None:
    page = tmp_path / "kills.md"
    keep([result(17, breaches=(LONELY,))], page=page)
    assert Totals.read(page.read_text()).failures == [
        "| 17 | mid-turn | job | killed | talks | not left alone: 21.0 s without a voice, 15.0 s are allowed |"
    ]


def test_what_people_wrote_of_what_was_mended_stays(tmp_path: Path) -> None:
    page = tmp_path / "kills.md"
    keep([result(7)], page=page)
    written = f"\n{FOUND}\n\n| found | mended |\n|---|---|\n| a phone rang twice | it rings once |\n"
    page.write_text(page.read_text() + written)
    keep([result(17)], page=page)
    assert page.read_text().endswith(written)
    assert Totals.read(page.read_text()).counts == {("mid-turn", "job"): [2, 4, 0]}


def test_the_table_counts_outcomes_by_step_and_victim() -> None:
    assert table([result(7), result(17, breaches=(LONELY,))]).splitlines()[-1] == "| mid-turn | job | 2 | 2 answered, 2 busy | 1 |"


def test_the_last_lines_say_how_to_make_a_failure_again() -> None:
    told = closing([result(7), result(17, breaches=(LONELY,))], seconds=61)
    assert told == "2 kills, 4 calls, 1 failures in 61 s\nagain: python3 dev.py chaos 1 --seed 17"

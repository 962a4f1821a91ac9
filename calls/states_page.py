"""docs/states.md: written from the tables, so that it cannot say something else than the code."""

from collections.abc import Iterable
from pathlib import Path

from django.conf import settings

from .dial_results import BY_KIND, BY_SIP_STATUS, DialResult
from .states import DIALLED, HOLDS_A_PLACE, HOLDS_THE_NUMBER, EndedBy, Fault, Outcome, Reason, Status, diagram

PATH = Path("docs/states.md")
HEAD = """# A call's states

Written by `manage.py write_states` from `calls/states.py` and `calls/dial_results.py`; a test fails when this page is behind.
"""


def page() -> str:
    """The whole page, in Markdown."""
    return "\n".join(
        [
            HEAD,
            f"```mermaid\n{diagram()}\n```\n",
            *_table(("status", "the number is taken", "a place of the line is taken", "the phone may have rung"), _properties()),
            "## How a dial ends\n",
            *_table(("the phone network says", "outcome", "reason", "fault", "worth another try"), _dial_results()),
            "A SIP status that is not in the table: as 503.\n",
            "## The words of an end\n",
            f"Outcome: {_words(Outcome)}.\n",
            f"Reason: {_words(Reason)}, and `policy.…` with the rule that said no.\n",
            f"Ended by: {_words(EndedBy)}.\n",
            f"Fault: {_words(Fault)}.\n",
        ]
    )


def path() -> Path:
    return Path(settings.BASE_DIR) / PATH


def _properties() -> Iterable[tuple[str, ...]]:
    for status in Status:
        yield f"`{status}`", *("yes" if status in kind else "" for kind in (HOLDS_THE_NUMBER, HOLDS_A_PLACE, DIALLED))


def _dial_results() -> Iterable[tuple[str, ...]]:
    for code in sorted({*BY_SIP_STATUS, 503}):
        yield str(code), *_cells(BY_SIP_STATUS.get(code, BY_KIND[next(iter(BY_KIND))]))
    for kind, result in list(BY_KIND.items())[1:]:
        yield kind.replace("_", " "), *_cells(result)


def _cells(result: DialResult) -> tuple[str, ...]:
    return f"`{result.outcome}`", f"`{result.reason}`", f"`{result.fault}`", "yes" if result.retryable else ""


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterable[str]:
    for row in (head, ("---",) * len(head), *rows):
        yield f"| {' | '.join(row)} |"
    yield ""


def _words(choices: Iterable[str]) -> str:
    return ", ".join(f"`{choice}`" for choice in choices)

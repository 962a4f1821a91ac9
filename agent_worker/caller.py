"""One call, from the claim to its true end, on whatever line."""

from .lines.base import Endpoint, Line


async def run_call(*, call_id: str, claim: str, line: Line, worker: str, endpoint: Endpoint | None = None) -> None:
    """Run the call `call_id` on `line` to its end; returns when it has ended and everything said is written.

    `claim` is the dispatch's token: who does not get the call with it ends quietly. `worker` names this process ("job:AJ_1",
    "sandbox:…"). `endpoint` is where the voice model answers; None: the one of the settings. Never raises for what can happen
    to a call: that stands in the call's row.
    """
    raise NotImplementedError

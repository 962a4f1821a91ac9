"""A LiveKit that counts, as a process: `python -m tests.calls.counting_network <calls> <report>`.

It fills the database with calls that are due, says the address at which it answers, and plays the jobs: a moment after its room was
opened a call ends. When nothing is left it writes down what it has seen. The limits that it sets are the test's.
"""

import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from .livekit_api import FakeLiveKit, fake_livekit

ORGANIZATIONS = 5
PLACES = 76
SHARE = 18
# Of the first organization, which has fewer calls for it.
SHARE_OF_THE_FIRST = 8
PART_OF_THE_FIRST = 0.1
CALLS_PER_SECOND = 125.0
# How long rooms go on after the last one that was opened, or after all places were taken: long enough for one too many.
QUIET_S = 0.3
FULL_S = 0.05


class Count:
    """Which rooms live and of whom, the most at once so far, and how often each was opened."""

    def __init__(self) -> None:
        self.alive: dict[str, dict[str, str]] = {}
        self.most: Counter[str] = Counter()
        self.opened: Counter[str] = Counter()
        self.changed_at = 0.0
        self.lock = threading.Lock()

    def open(self, request: Any) -> None:
        with self.lock:
            self.opened[request.name] += 1
            self.alive[request.name] = json.loads(request.agents[0].metadata)
            self.most |= Counter(order["persona"] for order in self.alive.values()) | Counter(all=len(self.alive))
            self.changed_at = time.monotonic()

    def is_over(self) -> bool:
        """Whether the rooms that are open now have lived long enough."""
        with self.lock:
            quiet_s = time.monotonic() - self.changed_at
            return bool(self.alive) and quiet_s > (FULL_S if len(self.alive) >= PLACES else QUIET_S)

    def end_all(self) -> None:
        """End the calls as jobs do: the room is gone before the call's end is written; in one statement for all of them."""
        from django.utils import timezone

        from calls import doorbell
        from calls.models import Call
        from calls.states import Outcome, Reason, Status

        with self.lock:
            over = [order["call_id"] for order in self.alive.values()]
            self.alive.clear()
        Call.objects.filter(pk__in=over).update(
            status=Status.ENDED, ended_at=timezone.now(), outcome=Outcome.FAILED, ended_reason=Reason.ERROR_PLATFORM_INTERNAL
        )
        doorbell.ring()


class CountingLiveKit(FakeLiveKit):
    count: Count

    def _do(self, method: str, request: Any) -> Any:
        if method == "CreateRoom":
            self.count.open(request)
        return super()._do(method, request)


def main(calls: int, report: Path) -> None:
    import django

    django.setup()
    from django.core.management import call_command

    from calls.models import Call, Line, LineShare
    from calls.states import Status
    from tests.many_calls import organizations_that_phone, put_into_the_queue

    call_command("migrate", verbosity=0)
    versions = organizations_that_phone(ORGANIZATIONS)
    of_the_first = int(calls * PART_OF_THE_FIRST)
    put_into_the_queue(versions[0], of_the_first)
    for version in versions[1:]:
        put_into_the_queue(version, (calls - of_the_first) // (ORGANIZATIONS - 1))
    Line.objects.filter(kind="phone").update(places=PLACES, share=SHARE, calls_per_second=CALLS_PER_SECOND)
    line = Line.objects.get(kind="phone")
    LineShare.objects.create(line=line, organization=versions[0].persona.organization, places=SHARE_OF_THE_FIRST)
    count = Count()
    with fake_livekit(CountingLiveKit) as livekit:
        livekit.count = count  # type: ignore[attr-defined]
        sys.stdout.write(f"LIVEKIT_URL={livekit.url}\n")
        sys.stdout.flush()
        while Call.objects.exclude(status=Status.ENDED).exists():
            while not count.is_over():
                time.sleep(0.01)
            count.end_all()
    report.write_text(json.dumps({"most": count.most, "opened": sorted(Counter(count.opened.values()).items())}))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))

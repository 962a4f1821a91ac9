"""What a long queue costs, on PostgreSQL: `python -m bench.queue [--calls N] [--seconds S]`.

Claims are timed in this process, with all that the dialer does for one; waits, pace and idle cost are those of `manage.py run_queue`
as a process of its own, before a LiveKit that answers at once.
"""

import argparse
import base64
import os
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.calls.livekit_api import FakeLiveKit, fake_livekit
from tests.numbers import pt_mobile
from tests.servers import Program, postgres_server
from tests.servers.process import REPOSITORY, Process, started

from .figures import percentile, table
from .processes import Meter

ORGANIZATIONS = 10
CLAIMS = 300
# A pace that lets one call after the other be claimed without a rest.
NO_REST = 1_000_000.0
SETTLES_S = 5
MANY_PLACES = 1_000_000


class NoRooms:
    """Opens nothing: what is timed ends where LiveKit would be asked."""

    def open(self, _order: Any) -> None:
        pass


def main(calls: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory(prefix="chamada-bench-") as name, postgres_server() as postgres, fake_livekit() as livekit:
        os.environ |= _environment(postgres.create_database("bench"), livekit)
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connections

        call_command("migrate", verbosity=0)
        rows = [*_claims(calls), *_waits(Path(name), seconds), *_pace(Path(name), seconds), *_last(), *_idle(Path(name), seconds)]
        print(table(["figure", f"{calls} calls"], rows))
        connections.close_all()


def _environment(database_url: str, livekit: FakeLiveKit) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": "",
        "DJANGO_SETTINGS_MODULE": "chamada.settings",
        "LOG_LEVEL": "ERROR",
        "DEBUG": "false",  # else Django keeps every statement
        **{name: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode() for name in ("SECRET_KEY", "FIELD_KEYS", "BLIND_INDEX_KEY")},
        "LIVEKIT_URL": livekit.url,
        "LIVEKIT_API_KEY": livekit.api_key,
        "LIVEKIT_API_SECRET": livekit.api_secret,
        "SIP_TRUNK_ID": "ST_bench",
        "OPENAI_API_KEY": "sk-emu-bench",
    }


def _claims(calls: int) -> Iterator[list[str]]:
    """A claim with all others behind it; and of the only organization that has a share left, behind all others."""
    from tests.many_calls import organizations_that_phone, put_into_the_queue

    first, *others = organizations_that_phone(ORGANIZATIONS)
    for_each = CLAIMS + 2 * ORGANIZATIONS
    put_into_the_queue(first, calls - len(others) * for_each)
    for other in others:
        put_into_the_queue(other, for_each)
    _vacuum()
    _limits(places=MANY_PLACES, calls_per_second=NO_REST, share=None)
    head = _timed_claims()
    yield _claim_row("head", head)
    _limits(share=1)
    tail = _timed_claims(of=others[-1].persona.organization_id)
    yield _claim_row("tail, the others' shares are used up", tail)
    yield ["tail : head", f"{percentile(tail, 50) / percentile(head, 50):.2f}"]


def _last() -> Iterator[list[str]]:
    """A claim when all others have left the queue before it, and nobody has cleaned up behind them."""
    from django.utils import timezone

    from calls.models import Call

    queued = Call.objects.filter(status="queued")
    last = list(queued.order_by("-due_at").values_list("pk", flat=True)[:CLAIMS])
    later = timezone.now() + timedelta(hours=6)
    queued.exclude(pk__in=last).update(status="scheduled", due_at=later, expires_at=later + timedelta(hours=1))
    _limits(calls_per_second=NO_REST)
    yield _claim_row("the last that are left", _timed_claims())


def _claim_row(name: str, times: list[float]) -> list[str]:
    return [f"claim, {name}: p50 / p95", f"{percentile(times, 50):.1f} / {percentile(times, 95):.1f} ms (n={len(times)})"]


def _timed_claims(of: int | None = None) -> list[float]:
    """Claims one after the other. With `of`, only that organization has a place free: every other one holds its share."""
    from calls import dialer
    from calls.models import Call

    times = []
    dispatched = Call.objects.filter(status="dispatched")
    for _ in range(CLAIMS):
        # The calls that were claimed are over, as on a line that is in use; but for the one that holds its organization's share.
        (dispatched if of is None else dispatched.filter(organization=of)).delete()
        while of is not None and dispatched.count() < ORGANIZATIONS - 1 and dialer.dial_due(NoRooms()):  # type: ignore[arg-type]
            dispatched.filter(organization=of).delete()
        began = time.perf_counter()
        assert dialer.dial_due(NoRooms())  # type: ignore[arg-type]
        times.append((time.perf_counter() - began) * 1000)
    return times


def _waits(folder: Path, seconds: float) -> Iterator[list[str]]:
    """Urgent calls, asked for while all the others wait and the line takes ten a second."""
    from calls.models import Call
    from calls.requests import request_call
    from calls.states import Priority
    from personas.models import PersonaVersion
    from tests.call_factories import a_requester, an_order

    version = PersonaVersion.objects.get(persona__slug="p0")
    _vacuum()
    _limits(places=MANY_PLACES, calls_per_second=10.0, share=None)
    chance = random.Random(1)
    with _dialers(folder, 1):
        until = time.monotonic() + seconds
        number = 0
        while time.monotonic() < until:
            number += 1
            order = an_order(persona="p0", phone_number=pt_mobile(number), priority=Priority.HIGH)
            request_call(organization=version.persona.organization, by=a_requester(), order=order)
            time.sleep(chance.uniform(0.15, 0.45))
        time.sleep(1)
    urgent = Call.objects.filter(priority=Priority.HIGH)
    assert not urgent.filter(dispatched_at=None).exists()
    waits = [(call.dispatched_at - call.due_at).total_seconds() * 1000 for call in urgent]  # type: ignore[operator]
    yield [
        "wait of an urgent call, at 10 calls a second: p50 / p95",
        f"{percentile(waits, 50):.0f} / {percentile(waits, 95):.0f} ms (n={len(waits)})",
    ]


def _pace(folder: Path, seconds: float) -> Iterator[list[str]]:
    """Calls a second that are given out, beside what the line may."""
    from calls.models import Call

    for pace, dialers in ((10.0, 1), (50.0, 1), (50.0, 4)):
        _limits(calls_per_second=pace)
        with _dialers(folder, dialers):
            begun = Call.objects.exclude(dispatched_at=None)
            before, began = begun.count(), time.monotonic()
            time.sleep(seconds)
            given = (begun.count() - before) / (time.monotonic() - began)
        yield [f"calls a second, {pace:.0f} allowed, {dialers} dialer(s)", f"{given:.1f}"]


def _idle(folder: Path, seconds: float) -> Iterator[list[str]]:
    """With all calls on the schedule for later, and with none."""
    from django.utils import timezone

    from calls.models import Call

    for name in ("the others on the schedule for later", "nothing to come"):
        _vacuum()
        with _dialers(folder, 1) as (dialer,):
            yield [f"CPU of an idle dialer, {name}", f"{_share(dialer, seconds):.2f} % of a core"]
        waiting = Call.objects.filter(ended_at=None)
        waiting.update(status="ended", ended_at=timezone.now(), outcome="canceled", ended_reason="staff.canceled")


def _share(process: Process, seconds: float) -> float:
    # Its first seconds go into loading what it dials with.
    time.sleep(SETTLES_S)
    meter = Meter(process.pid)
    time.sleep(seconds)
    return meter.share()


@contextmanager
def _dialers(folder: Path, count: int) -> Iterator[list[Process]]:
    """So many queue workers, ready."""
    command = [sys.executable, str(REPOSITORY / "manage.py"), "run_queue"]
    programs = [
        Program(name=f"queue-{time.monotonic_ns()}-{n}", command=command, folder=folder, environment=os.environ) for n in range(count)
    ]
    with ExitStack() as stack:
        running = [stack.enter_context(started(program)) for program in programs]
        for process in running:
            process.wait_until(lambda process=process: "queue worker ready" in process.tail())  # type: ignore[misc]
        yield running


def _limits(**limits: Any) -> None:
    from calls.models import Line

    Line.objects.filter(kind="phone").update(next_slot_at=None, **limits)


def _vacuum() -> None:
    """As autovacuum does it in a quiet moment."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE calls_call")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=30)
    arguments = parser.parse_args()
    main(arguments.calls, arguments.seconds)

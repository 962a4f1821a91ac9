"""What a look of the reconciler takes, on PostgreSQL: `python -m bench.reconcile [--calls N] [--idle S]`.

LiveKit is the tests' own (its answers are real Protocol Buffers over HTTP), in a process of its own.
"""

import argparse
import os
import subprocess
import sys
import time
import uuid
from datetime import timedelta
from typing import Any

from tests.servers import postgres_server

from .figures import percentile, table

ROUNDS = 20
LOST = 10
FAKE = """
import sys
from tests.calls.livekit_api import fake_livekit
with fake_livekit() as fake:
    print(fake.url, flush=True)
    for line in sys.stdin:
        if line.strip():
            fake.rooms.add(line.strip())
            fake.joins(line.strip(), call_status="active")
        else:
            print("ready", flush=True)
"""


def main(calls: int, idle_s: int) -> None:
    command = [sys.executable, "-c", FAKE]
    with postgres_server() as postgres, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as livekit:
        assert livekit.stdin is not None
        assert livekit.stdout is not None
        os.environ |= {
            "DATABASE_URL": postgres.create_database("bench"),
            "DJANGO_SETTINGS_MODULE": "chamada.settings",
            "LOG_LEVEL": "ERROR",
            "DEBUG": "false",
            "SECRET_KEY": "a-key-of-the-bench-that-guards-nothing-at-all-anywhere",
            "ALLOWED_HOSTS": "localhost",
            "LIVEKIT_URL": livekit.stdout.readline().strip(),
            "LIVEKIT_API_KEY": "fake",
            "LIVEKIT_API_SECRET": "fake-secret-fake-secret-fake-secret-fake",
            "SIP_TRUNK_ID": "ST_known",
        }
        import django

        django.setup()
        rows = _idle(idle_s)
        rooms = _live_calls(calls)
        livekit.stdin.write("".join(f"{room}\n" for room in rooms) + "\n")
        livekit.stdin.flush()
        assert livekit.stdout.readline() == "ready\n"
        print(table(["figure", "measured"], rows + _looks(calls)))
        livekit.terminate()
        from django.db import connections

        connections.close_all()


def _live_calls(count: int) -> list[str]:
    from django.db.models.functions import Now

    from calls.models import Call
    from calls.states import Status
    from tests.call_factories import make_call

    first = make_call(Status.IN_PROGRESS)
    copies = []
    for n in range(1, count):
        copy = Call.objects.get(pk=first.pk)
        copy.pk, copy.room, copy.number_index = uuid.uuid4(), f"call_bench_{n}", f"bench-{n}"
        copies.append(copy)
    Call.objects.bulk_create(copies)
    Call.objects.update(heartbeat_at=Now() + timedelta(hours=1))
    return list(Call.objects.values_list("room", flat=True))


def _idle(seconds: int) -> list[list[str]]:
    """The share of a core that a reconciler takes with nothing to do, as the queue worker runs it."""
    from django.core.management import call_command

    from calls.reconcile import STEPS_EVERY_S, Reconciler

    call_command("migrate", verbosity=0)
    reconciler = Reconciler()
    reconciler.step()
    cpu, end = time.process_time(), time.monotonic() + seconds
    while time.monotonic() < end:
        reconciler.step()
        time.sleep(STEPS_EVERY_S)
    share = (time.process_time() - cpu) / seconds
    reconciler.close()
    return [["idle, share of a core", f"{100 * share:.2f} %"]]


def _looks(calls: int) -> list[list[str]]:
    from django.db.models.functions import Now

    from calls.models import Call
    from calls.reconcile import Reconciler

    reconciler = Reconciler()
    while not reconciler._livekit.is_unbroken(time.monotonic()):  # noqa: SLF001 - how long it has watched is nobody else's matter
        reconciler.look()
        time.sleep(0.5)
    took = [_ms(reconciler.look) for _round in range(ROUNDS)]
    lost = Call.objects.values("pk")[:LOST]
    Call.objects.filter(pk__in=list(lost.values_list("pk", flat=True))).update(heartbeat_at=Now() - timedelta(seconds=9))
    mending = _ms(reconciler.look)
    assert reconciler.mended.total() == LOST, reconciler.mended
    reconciler.close()
    return [
        [f"a look with {calls} live calls, p50", f"{percentile(took, 50):.0f} ms"],
        [f"a look with {calls} live calls, the longest of {ROUNDS}", f"{max(took):.0f} ms"],
        [f"the look that ends {LOST} of them", f"{mending:.0f} ms"],
    ]


def _ms(act: Any) -> float:
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--idle", type=int, default=20)
    arguments = parser.parse_args()
    main(arguments.calls, arguments.idle)

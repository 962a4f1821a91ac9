"""What an accepted request for a call costs the web process, on PostgreSQL and Redis: `python -m bench.request [--rounds N]`.

CPU time of this process alone, from the WSGI handler on; interleaved with an empty view behind the same middleware.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.calls.livekit_webhooks import ADDRESS, CONTENT_TYPE, UNKNOWN, token, told
from tests.numbers import pt_mobile
from tests.servers import postgres_server, redis_server

from .figures import percentile, spread, table

WARM_UP = 20


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="chamada-bench-") as name, redis_server() as redis, postgres_server() as postgres:
        os.environ |= {
            "DATABASE_URL": postgres.create_database("bench"),
            "REDIS_URL": redis.url,
            "DJANGO_SETTINGS_MODULE": "chamada.settings",
            "LOG_LEVEL": "ERROR",
            "DEBUG": "true",
            "CALL_RATE_PER_KEY": "1000000/m",
            "CALL_RATE_PER_ADDRESS": "1000000/m",
            "LIVEKIT_URL": "ws://127.0.0.1:9",
            "LIVEKIT_API_KEY": "bench",
            "LIVEKIT_API_SECRET": "bench-secret-that-is-never-used-at-all",
            "SIP_TRUNK_ID": "ST_bench",
            "OPENAI_API_KEY": "sk-emu-bench",
        }
        import django

        django.setup()
        key = _seeded(Path(name) / "credentials.json")
        measure(rounds, key)
        from django.db import connections

        connections.close_all()


def _seeded(credentials: Path) -> str:
    from django.core.management import call_command

    call_command("seed_demo", "--site", "http://127.0.0.1/", "--credentials", str(credentials), "--migrate", verbosity=0)
    key: str = json.loads(credentials.read_text())["api_key"]
    return key


def measure(rounds: int, key: str) -> None:
    from django.conf import settings
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext, override_settings

    with override_settings(ROOT_URLCONF="bench.urls", DEBUG=False, ALLOWED_HOSTS=["testserver", *settings.ALLOWED_HOSTS]):
        client = Client(headers={"authorization": f"Bearer {key}"})

        def start(n: int) -> None:
            body = {"phone_number": pt_mobile(n), "persona": "restaurante", "customer_name": "Ana"}
            answer = client.post("/api/start_call", body, content_type="application/json")
            assert answer.status_code == 202, answer.content
            assert answer.json()["line"] == "phone", answer.content

        def empty(_n: int) -> None:
            assert client.post("/empty/", {}, content_type="application/json").status_code == 202

        for n in range(WARM_UP):
            start(n)
            empty(n)
        costs = {"start_call": [], "empty": [], "webhook": []}  # type: dict[str, list[float]]
        for n in range(rounds):
            costs["start_call"].append(_cpu_ms(start, WARM_UP + n))
            costs["empty"].append(_cpu_ms(empty, n))
            costs["webhook"].append(_answered_ms(client, n))
        with CaptureQueriesContext(connection) as queries:
            start(WARM_UP + rounds)
    _report(costs, [query["sql"] for query in queries.captured_queries])


def _answered_ms(client: Any, n: int) -> float:
    """How long LiveKit waits for the answer to a webhook, but for the network."""
    from django.conf import settings

    body = json.dumps(told(UNKNOWN, id=f"EV_{n}")).encode()
    signed = token(body, secret=settings.LIVEKIT_API_SECRET, iss=settings.LIVEKIT_API_KEY)
    began = time.perf_counter()
    answer = client.post(ADDRESS, body, content_type=CONTENT_TYPE, headers={"authorization": signed})
    took = (time.perf_counter() - began) * 1000
    assert answer.status_code == 200, answer.content
    return took


def _cpu_ms(act: Callable[[int], Any], n: int) -> float:
    began = time.process_time()
    act(n)
    return (time.process_time() - began) * 1000


def _report(costs: dict[str, list[float]], statements: list[str]) -> None:
    ours, nothing = (percentile(costs[name], 50) for name in ("start_call", "empty"))
    transactions = sum(statement.upper().startswith("BEGIN") for statement in statements)
    savepoints = sum(statement.upper().startswith("SAVEPOINT") for statement in statements)
    rows = [
        ["accepted request, CPU (p50)", f"{ours:.1f} ms"],
        ["empty view, CPU (p50)", f"{nothing:.1f} ms"],
        ["difference", f"{ours - nothing:.1f} ms"],
        ["a webhook of LiveKit's, answered in (p50 / p95 / max)", spread(costs["webhook"])],
        ["transactions", str(transactions)],
        ["statements (savepoints)", f"{len(statements)} ({savepoints})"],
    ]
    print(table(["figure", f"n={len(costs['empty'])}"], rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    main(parser.parse_args().rounds)

"""The worker's figures for Prometheus. All of them are counted in the worker's own process.

Job processes keep none: with one process a call, prometheus_client's files of the dead would pile up for ever.
"""

import os

# prometheus_client decides when it is imported: with this variable set, every process would write files of its own.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)

from aiohttp import web
from django.db import Error
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

from agent_worker.database import in_database
from calls.models import Call

ACTIVE = Gauge("chamada_agent_calls_active", "Calls that this worker carries now", ["line"])
CAPACITY = Gauge("chamada_agent_calls_max", "Calls that this worker carries at most", ["line"])
ENDED = Counter("chamada_agent_calls_ended", "Calls that this worker carried to their end, by outcome", ["line", "outcome"])
JOB_START = Histogram(
    "chamada_agent_job_start_seconds",
    "From LiveKit's request to the job running in its process",
    buckets=(0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10),
)


async def count_end(*, line: str, room: str) -> None:
    """Count the call of `room` by its outcome. One that its job left without an end counts as `none`, `unknown` is for a database away."""
    try:
        outcome = await in_database(lambda: Call.objects.filter(room=room).values_list("outcome", flat=True).first())
    except Error:
        ENDED.labels(line=line, outcome="unknown").inc()
    else:
        ENDED.labels(line=line, outcome=outcome or "none").inc()


async def _show(_request: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


ROUTES = [web.get("/metrics", _show)]

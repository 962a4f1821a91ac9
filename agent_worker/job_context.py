"""The one place where a call runs without a job of livekit-agents around it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from livekit.agents import JobContext
from livekit.agents.testing import fake_job_context
from livekit.agents.utils import http_context

from calls.models import Call


@asynccontextmanager
async def job_without_a_worker(call: Call) -> AsyncIterator[JobContext]:
    """The job context that code of the library asks for inside a call. For one task; of its private parts only the clean-up is touched."""
    async with http_context.open():
        with fake_job_context(job_id=f"sandbox-{call.pk}") as context:
            try:
                yield context
            finally:
                await context._on_cleanup()  # noqa: SLF001  # removes its temporary directory; nobody else does

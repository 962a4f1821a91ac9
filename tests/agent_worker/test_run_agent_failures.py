"""A worker that cannot set itself up says why in one sentence, ends with an error, and never registers."""

import asyncio
import socket
from pathlib import Path

import pytest

from tests.agent_worker.agent_process import Bench, with_livekit
from tests.agent_worker.fake_livekit import fake_livekit
from tests.servers.ports import free_port


def why(bench: Bench, *arguments: str) -> str:
    """The last line that it wrote to stderr, without a traceback anywhere."""
    done = bench.run_agent(*arguments)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_a_database_that_lacks_migrations(tmp_path: Path) -> None:
    said = why(Bench(tmp_path))
    assert said.startswith("CommandError: The database lacks ")
    assert said.endswith(" migrations: run `manage.py migrate`.")


def test_a_database_that_is_away(tmp_path: Path) -> None:
    bench = Bench(tmp_path, environment={"DATABASE_URL": f"postgres://nobody@127.0.0.1:{free_port()}/nothing"})
    said = why(bench)
    assert said.startswith("CommandError: The database cannot be used: connection failed")
    assert said.endswith(" Check DATABASE_URL and that the server runs.")


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = why(Bench(tmp_path), f"--health-port={port}")
    assert said == f"CommandError: Port {port} on 127.0.0.1 cannot be used (Address already in use): choose another with --health-port."


def test_no_key_for_the_model_on_the_phone_line(migrated: Path) -> None:
    bench = Bench(migrated, environment=with_livekit("ws://127.0.0.1:9", OPENAI_API_KEY=""))
    assert why(bench) == "CommandError: OPENAI_API_KEY is not set: on the phone line the persona would have no voice."


def test_a_livekit_that_is_not_there(migrated: Path) -> None:
    bench = Bench(migrated, environment=with_livekit(f"ws://127.0.0.1:{free_port()}"))
    assert why(bench) == (
        "CommandError: LiveKit cannot be used: it does not answer. Check LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET."
    )


async def test_a_livekit_that_refuses_the_key(migrated: Path) -> None:
    async with fake_livekit(refuses=True) as livekit:
        said = await asyncio.to_thread(why, Bench(migrated, environment=with_livekit(livekit.url)))
        assert livekit.registered == []
    assert said == ("CommandError: LiveKit cannot be used: it refuses the key. Check LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET.")


BREAKS_THE_ENTRYPOINT = """
import sys

class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == "agent_worker.entrypoint":
            raise ImportError("no module named 'something'")

sys.meta_path.insert(0, Broken())
"""
DIES_IN_THE_ENTRYPOINT = BREAKS_THE_ENTRYPOINT.replace("raise ImportError(\"no module named 'something'\")", "__import__('os')._exit(9)")


@pytest.mark.parametrize(
    ("hook", "reason"),
    [
        (BREAKS_THE_ENTRYPOINT, "ImportError: no module named 'something'"),
        (DIES_IN_THE_ENTRYPOINT, "it died before it could say why"),
    ],
    ids=["cannot be imported", "takes its process down"],
)
async def test_a_job_process_that_cannot_start(migrated: Path, hook: str, reason: str) -> None:
    hooks = migrated / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(hook)
    async with fake_livekit() as livekit:
        bench = Bench(migrated, environment=with_livekit(livekit.url))
        bench.environment["PYTHONPATH"] = f"{hooks}:{bench.environment['PYTHONPATH']}"
        said = await asyncio.to_thread(why, bench)
        assert livekit.registered == []
    assert said.startswith(f"CommandError: A job process cannot start: {reason}")

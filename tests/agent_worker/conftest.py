import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent_worker.agent_process import Bench
from tests.agent_worker.outages import Outage
from tests.agent_worker.phone_rig import rig

__all__ = ["rig"]


@pytest.fixture(scope="session")
def migrated_once() -> Iterator[Path]:
    """A database file with every migration, to be copied."""
    with tempfile.TemporaryDirectory(prefix="chamada-agent-") as name:
        bench = Bench(Path(name))
        done = bench.manage("migrate", "--verbosity=0", within_s=110)
        assert done.returncode == 0, done.stderr
        yield bench.file


@pytest.fixture
def migrated(tmp_path: Path, migrated_once: Path) -> Path:
    """A folder with a migrated database in it, for one test."""
    shutil.copy(migrated_once, tmp_path / migrated_once.name)
    return tmp_path


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Outage]:
    outage = Outage(monkeypatch)
    yield outage
    outage.away = False


@pytest.fixture
def spool_folder(tmp_path: Path, settings: Any) -> Path:
    settings.JOURNAL_SPOOL = tmp_path / "spool"
    return tmp_path / "spool"

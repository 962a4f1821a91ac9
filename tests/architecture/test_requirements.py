"""What is installed is what was chosen: pinned, with hashes, with a reason, and the same for running and testing."""

import re

import pytest

from .source import ROOT


def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


def wanted(name: str) -> list[str]:
    return [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith(("#", "-r"))]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_tests_run_on_what_the_product_runs_on() -> None:
    assert pins("requirements.txt").items() <= pins("requirements-dev.txt").items()


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_every_chosen_package_is_pinned_and_has_a_reason(name: str) -> None:
    pinned = {normal(package) for package in pins(f"{name}.txt")}
    for line in wanted(f"{name}.in"):
        package = re.match(r"[A-Za-z0-9._-]+", line)
        assert normal(package.group() if package else "") in pinned, line
        assert re.search(r"\s# \S", line), f"{line} gives no reason"


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_pin_has_its_hashes(name: str) -> None:
    blocks = re.split(r"^(?=\S)", (ROOT / name).read_text(), flags=re.MULTILINE)
    assert [block.split()[0] for block in blocks if "==" in block and "--hash=sha256:" not in block] == []

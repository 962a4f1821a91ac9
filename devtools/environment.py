"""The virtual environment and the keys of this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
VENV = HERE / ".venv"
PYTHON = VENV / "bin/python"
STATE = HERE / ".dev"  # what belongs to this machine alone: keys, credentials, locks


def right_python() -> None:
    """The locked packages are those of Python 3.11; under another one, start again with it, or say so."""
    other = shutil.which("python3.11")
    if sys.version.startswith("3.11."):
        return
    if other is None:
        sys.exit(f"Chamada.ai runs on Python 3.11, and this is {sys.version.split()[0]}: apt-get install python3.11 python3.11-venv")
    os.execv(other, [other, *sys.argv])


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def environment(wanted: str, *, folder: Path = HERE, sync: Callable[[Path], None] | None = None) -> None:
    """Make .venv hold what the requirements file names; nothing is done where it does already.

    requirements-dev.txt holds all of requirements.txt, so a .venv that the tests have used serves both commands.
    """
    stamp = folder / ".venv/.synced"
    synced: dict[str, str] = json.loads(stamp.read_text()) if stamp.exists() else {}
    if synced.get(wanted) == digest(folder / wanted):
        return
    stamp.unlink(missing_ok=True)  # an installation that is cut short is begun again
    tested_before = "requirements-dev.txt" in synced or (stamp.parent / "bin/pytest").exists()
    file = "requirements-dev.txt" if tested_before else wanted
    (sync or install)(folder / file)
    files = ("requirements.txt", "requirements-dev.txt") if file == "requirements-dev.txt" else (file,)
    stamp.write_text(json.dumps({name: digest(folder / name) for name in files}))


def install(file: Path) -> None:
    """Bring .venv to exactly what the file names, every package checked against its hash."""
    print(f"Installing what {file.name} names; this takes a minute or two the first time.", flush=True)
    make = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    if not (PYTHON.exists() and (VENV / "bin/pip").exists()) and subprocess.call(make, stdout=subprocess.DEVNULL) != 0:
        sys.exit("Python cannot make a virtual environment here: apt-get install python3-venv")
    pinned = re.search(r"^uv==[\s\S]+?(?=^\S|^    #)", (HERE / "requirements-dev.txt").read_text(), re.MULTILINE)
    assert pinned, "requirements-dev.txt pins uv"
    only_uv = VENV / "uv.txt"
    only_uv.write_text(pinned.group().rstrip().rstrip("\\") + "\n")
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", str(only_uv)]
    uv = [str(VENV / "bin/uv"), "pip", "sync", "--python", str(PYTHON), "--require-hashes", "--no-build", "--quiet", str(file)]
    for command in (pip, uv):
        if subprocess.call(command) != 0:
            sys.exit(f"The packages of {file.name} could not be installed; the reason stands above.")


def keys(file: Path) -> None:
    """Keys of this machine, made once: what the database holds can be read with them only."""
    if file.exists():
        return
    file.parent.mkdir(exist_ok=True)
    made = {name: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode() for name in ("SECRET_KEY", "FIELD_KEYS", "BLIND_INDEX_KEY")}
    text = "# Made by dev.py run for this machine. Without these keys the data in its database cannot be read.\n"
    text += "".join(f"{name}={value}\n" for name, value in made.items())
    text += "# Any free ports: several copies may run on this machine.\nAGENT_HEALTH_PORT=0\nAGENT_METRICS_PORT=0\n"
    file.touch(mode=0o600, exist_ok=False)
    file.write_text(text)

"""What could not be written because the database was away: kept on this machine, encrypted, until it can be."""

import fcntl
import json
import os
import uuid
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import IntegrityError

from calls.models import Call
from calls.transcripts import TurnDraft, record
from contacts.crypto import CannotDecrypt, decrypt, encrypt

from .endings import Ending, suppress_callee, write_end

log = structlog.get_logger(__name__)

CONTEXT = "agent_worker.spool"


def keep(call_id: str, *, claim: str, turns: list[TurnDraft], ending: Ending | None, suppression: str | None = None) -> Path:
    """Write what the database does not know to a file that only this user can read: turns, how the call ended, an opt-out."""
    directory = Path(settings.JOURNAL_SPOOL)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = {
        "call": call_id,
        "claim": claim,
        "turns": [{**asdict(turn), "started_at": turn.started_at.isoformat()} for turn in turns],
        "suppression": suppression,
        "ending": None if ending is None else ending.as_json(),
    }
    path = directory / f"{call_id}.{uuid.uuid4().hex}.spool"
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(encrypt(json.dumps(content), context=CONTEXT))
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    log.warning("journal kept on disk", call=call_id, turns=len(turns), with_end=ending is not None)
    return path


def replay() -> int:
    """Write to the database what earlier jobs left on this machine; returns how many files were. What the database holds stays.

    Raises django.db.DatabaseError when the database is away again: the files stay for the next time.
    """
    done = 0
    for path in sorted(Path(settings.JOURNAL_SPOOL).glob("*.spool")):
        with suppress(FileNotFoundError), path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # another process is at it
            if path.exists():
                done += _replay(path, file.read())
    return done


def _replay(path: Path, text: str) -> int:
    """One file: 1 when the database has it now, 0 when it never will. One that cannot be written does not hold up the others."""
    try:
        _write(json.loads(decrypt(text, context=CONTEXT)))
    except (CannotDecrypt, IntegrityError, ValueError, KeyError, TypeError):
        log.exception("journal on disk cannot be used", file=path.name)
        path.rename(path.with_suffix(".unreadable"))
        return 0
    path.unlink(missing_ok=True)
    return 1


def _write(content: dict[str, Any]) -> None:
    call = Call.objects.filter(pk=content["call"]).first()
    if call is None:
        log.warning("journal on disk is of a call that is no more", call=content["call"])
        return
    if content["suppression"]:
        suppress_callee(content["call"], content["suppression"])
    for turn in content["turns"]:
        record(content["call"], TurnDraft(**{**turn, "started_at": datetime.fromisoformat(turn["started_at"])}))
    if content["ending"] is not None:
        write_end(content["call"], Ending.from_json(content["ending"]), claim=content["claim"], by="spool")

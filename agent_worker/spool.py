"""What the database does not know of a call: kept on this machine, encrypted, until it does."""

import fcntl
import json
import os
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Self

import structlog
from django.conf import settings
from django.db import DataError, IntegrityError

from calls import lifecycle
from calls.callbacks import Wish, book
from calls.models import Call
from calls.states import Status
from calls.transcripts import TurnDraft, record
from contacts.crypto import CannotDecrypt, decrypt, encrypt

from .endings import Ending, suppress_callee, write_end

log = structlog.get_logger(__name__)

CONTEXT = "agent_worker.spool"
# A file that was not finished by then never will be: the process that wrote it is no more.
UNFINISHED_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Page:
    """What waits to be written of one call: turns, that it was answered (ISO 8601) and is not over, an opt-out, a callback, how it
    ended."""

    call: str
    claim: str
    turns: tuple[TurnDraft, ...] = ()
    answered_at: str = ""
    suppression: str | None = None
    callback: Wish | None = None
    ending: Ending | None = None

    @property
    def is_blank(self) -> bool:
        return not (self.turns or self.answered_at or self.suppression or self.callback or self.ending)

    def as_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "turns": [{**asdict(turn), "started_at": turn.started_at.isoformat()} for turn in self.turns],
            "callback": None if self.callback is None else self.callback.as_json(),
            "ending": None if self.ending is None else self.ending.as_json(),
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Self:
        turns = (TurnDraft(**{**turn, "started_at": datetime.fromisoformat(turn["started_at"])}) for turn in raw["turns"])
        # A file of before callbacks says nothing of them.
        callback, ending = raw.get("callback"), raw["ending"]
        read = {"turns": tuple(turns), "callback": callback and Wish.from_json(callback), "ending": ending and Ending.from_json(ending)}
        return cls(**{**raw, **read})


class SpoolFile:
    """One call's file, that only this user can read. As long as its process lives and holds it nobody else writes it to the database.

    To be used from one thread at a time. Its methods raise OSError when the disk does not take it.
    """

    def __init__(self, call_id: str) -> None:
        self._path = Path(settings.JOURNAL_SPOOL) / f"{call_id}.{uuid.uuid4().hex}.spool"
        self._held: IO[str] | None = None

    def write(self, page: Page) -> None:
        """Put `page` in the place of what it held: whole, or not at all, whenever the process dies."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = self._path.with_suffix(".part")
        part.unlink(missing_ok=True)  # of a disk that was full
        file = os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")
        try:
            # The kernel lets go of it when the process dies, however it dies.
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(encrypt(json.dumps(page.as_json()), context=CONTEXT))
            file.flush()
            os.fsync(file.fileno())
            part.rename(self._path)
        except OSError:
            file.close()
            raise
        self.let_go()
        self._held = file

    def remove(self) -> None:
        """The database has it all."""
        self._path.unlink(missing_ok=True)
        self.let_go()

    def let_go(self) -> None:
        """Leave what it holds to whoever comes to write it."""
        if self._held is not None:
            self._held.close()
            self._held = None


def waiting() -> list[Path]:
    """The files on this machine. What a process left unfinished when it died is cleared away."""
    directory = Path(settings.JOURNAL_SPOOL)
    for part in directory.glob("*.part"):
        with suppress(FileNotFoundError):
            if part.stat().st_mtime < time.time() - UNFINISHED_S:
                part.unlink()
    return sorted(directory.glob("*.spool"))


def replay(path: Path) -> bool:
    """Write a file to the database, unless a process still holds it or another is at it; whether it was. What the database holds stays.

    Raises django.db.Error when the database is away: the file stays for the next time.
    """
    with suppress(FileNotFoundError), path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        # Since it was opened another process may have written it and removed it, or its own have put a newer one there.
        if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
            return _replay(path, file.read())
    return False


def _replay(path: Path, text: str) -> bool:
    """One that can never be written is set aside, and does not hold up the others."""
    try:
        _write(Page.from_json(json.loads(decrypt(text, context=CONTEXT))))
    except (CannotDecrypt, IntegrityError, DataError, ValueError, KeyError, TypeError):
        log.exception("journal on disk cannot be used", file=path.name)
        path.rename(path.with_suffix(".unreadable"))
        return False
    path.unlink(missing_ok=True)
    return True


def _write(page: Page) -> None:
    call = Call.objects.filter(pk=page.call).first()
    if call is None:
        log.warning("journal on disk is of a call that is no more", call=page.call)
        return
    if page.suppression:
        suppress_callee(page.call, page.suppression)
    if page.callback:
        book(page.call, page.callback)
    for turn in page.turns:
        record(page.call, turn)
    if page.ending is not None:
        write_end(page.call, page.ending, claim=page.claim, by="spool")
    elif page.answered_at and call.claim == page.claim and call.status in (Status.DIALING, Status.RINGING):
        # Its job died. Whoever finds that out, and ends the call, has to know that somebody picked up.
        lifecycle.answered(call, by="spool", at=datetime.fromisoformat(page.answered_at))

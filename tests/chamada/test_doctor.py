"""The doctor says of each thing that calls need whether it is there, what is wrong, and what to do."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from pytest_django import Settings

from calls.states import Status
from chamada import doctor
from chamada.doctor import State
from tests.call_factories import make_call

LIVEKIT = {"LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "s" * 32}
MODELS = {"data": [{"id": "gpt-realtime-2.1-mini"}, {"id": "gpt-4o-mini-transcribe"}]}
TRUNKS = {"items": [{"sip_trunk_id": "ST_1"}]}


class Service:
    """An HTTP server on loopback that answers what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.body: object = {}
        self.asked: list[tuple[str, str]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                service.asked.append((self.path, self.headers.get("Authorization", "")))
                body = service.body if isinstance(service.body, bytes) else json.dumps(service.body).encode()
                self.send_response(service.status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Type", "application/protobuf" if isinstance(service.body, bytes) else "application/json")
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = answer  # noqa: N815 - http.server's names

            def log_message(self, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def service() -> Iterator[Service]:
    it = Service()
    thread = threading.Thread(target=it.server.serve_forever, args=(0.01,))
    thread.start()
    yield it
    it.server.shutdown()
    thread.join()
    it.server.server_close()


def refused_port() -> str:
    """An address where nobody listens."""
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.server_close()
    return f"http://127.0.0.1:{server.server_port}"


@pytest.fixture(autouse=True)
def on_a_developers_machine(settings: Settings) -> None:
    """Whatever database the tests run on: the settings of one where data is not to last."""
    settings.ON_POSTGRESQL = False


def apply(settings: Settings, **values: object) -> None:
    for name, value in values.items():
        setattr(settings, name, value)


# --- settings ---------------------------------------------------------------------------------------------------------


def test_settings_without_a_flaw_are_ok() -> None:
    assert str(doctor.check_settings()) == "ok     settings  Nothing is missing."


def test_an_error_of_the_settings_is_wrong_and_says_what_to_do(settings: Settings) -> None:
    apply(settings, ON_POSTGRESQL=True, REDIS_URL="redis://127.0.0.1", SECRET_KEY="own", DERIVED_KEYS=["FIELD_KEYS"])
    assert str(doctor.check_settings()) == (
        "wrong  settings  FIELD_KEYS is not set: numbers, names and transcripts have no key of their own. "
        "`manage.py generate_key` makes one."
    )


def test_a_warning_of_the_settings_is_a_note(settings: Settings) -> None:
    apply(settings, ON_POSTGRESQL=True, SECRET_KEY="own", DERIVED_KEYS=[], REDIS_URL="")
    assert doctor.check_settings().state == State.NOTE


def test_what_has_a_line_of_its_own_is_not_told_twice(settings: Settings) -> None:
    apply(settings, LIVEKIT_URL="ws://127.0.0.1:1", **LIVEKIT)
    assert doctor.check_settings().state == State.OK


# --- database ---------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_migrated_database_is_ok() -> None:
    assert doctor.check_database().state == State.OK


@pytest.mark.django_db
def test_a_missing_migration_is_named_with_its_cure() -> None:
    newest = MigrationLoader(connection).graph.leaf_nodes("calls")[0]
    MigrationRecorder(connection).record_unapplied(*newest)
    finding = doctor.check_database()
    assert (finding.state, finding.remedy) == (State.WRONG, "Run `manage.py migrate`.")


@pytest.mark.django_db
def test_a_database_that_cannot_be_opened_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from django.db.backends.sqlite3.base import DatabaseWrapper

    nowhere = {**connection.settings_dict, "NAME": str(tmp_path / "no/such/folder/db.sqlite3"), "OPTIONS": {}}
    monkeypatch.setattr(doctor, "connection", DatabaseWrapper(nowhere, "nowhere"))
    assert str(doctor.check_database()) == (
        "wrong  database  SQLite cannot be used: unable to open database file. Check DATABASE_URL and that the server runs."
    )


# --- the queue --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has its own line")
def test_the_tables_of_the_engine_are_looked_for() -> None:
    assert str(doctor.check_queue()) == "ok     queue     Its tables are there."


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "postgresql", reason="on SQLite no worker signs in")
def test_on_postgresql_it_is_said_whether_a_queue_worker_is_at_work() -> None:
    said = str(doctor.check_queue())
    assert said == "note   queue     No queue worker is at work: no call is dialled. Start `manage.py run_queue`."
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 min'), (now()), (now())")
    assert str(doctor.check_queue()) == "ok     queue     Its tables are there; queue workers: 2."


@pytest.mark.django_db
def test_an_engine_without_tables_is_wrong() -> None:
    table = "procrastinate_jobs" if connection.vendor == "postgresql" else "django_tasks_database_dbtaskresult"
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO away")
    with transaction.atomic():
        finding = doctor.check_queue()
        transaction.set_rollback(True)
    assert (finding.state, finding.says) == (State.WRONG, "The engine's tables cannot be read.")


# --- LiveKit and the trunk --------------------------------------------------------------------------------------------


def test_no_livekit_is_the_sandbox_line_and_no_fault(settings: Settings) -> None:
    assert str(doctor.check_livekit()) == "note   LiveKit   Not configured: every call runs on the sandbox line."
    assert str(doctor.check_trunk()) == "note   trunk     Not asked: LiveKit is not configured."


def test_half_a_livekit_is_wrong(settings: Settings) -> None:
    apply(settings, LIVEKIT_URL="ws://127.0.0.1:1")
    finding = doctor.check_livekit()
    assert (finding.state, finding.remedy) == (State.WRONG, "Set LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET.")


def test_a_livekit_that_answers_is_ok(settings: Settings, service: Service) -> None:
    service.body = b""  # ListRoomsResponse without rooms
    apply(settings, LIVEKIT_URL=service.url, **LIVEKIT)
    assert doctor.check_livekit().state == State.OK
    assert [path for path, _key in service.asked] == ["/twirp/livekit.RoomService/ListRooms"]


@pytest.mark.parametrize("body", [{"code": "unauthenticated", "msg": "invalid API key"}, b"invalid token"], ids=["Cloud", "one's own"])
def test_a_livekit_that_refuses_the_key_says_so(settings: Settings, service: Service, body: object) -> None:
    service.status, service.body = 401, body
    apply(settings, LIVEKIT_URL=service.url, **LIVEKIT)
    assert str(doctor.check_livekit()) == (
        "wrong  LiveKit   It refuses the key. Check LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET."
    )


def test_a_livekit_that_is_not_there_says_so(settings: Settings) -> None:
    apply(settings, LIVEKIT_URL=refused_port(), SIP_TRUNK_ID="ST_1", **LIVEKIT)
    assert doctor.check_livekit().says == "It does not answer."
    assert doctor.check_trunk().says == "LiveKit could not be asked."


def test_a_missing_trunk_is_wrong(settings: Settings) -> None:
    apply(settings, LIVEKIT_URL="ws://127.0.0.1:1", **LIVEKIT)
    assert doctor.check_trunk().says == "SIP_TRUNK_ID is not set: no phone can be called."


@pytest.mark.django_db
def test_an_unknown_trunk_is_said_with_what_it_did(settings: Settings, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.body = b"\x0a\x06\x0a\x04ST_1"
    apply(settings, LIVEKIT_URL=service.url, SIP_TRUNK_ID="ST_2", **LIVEKIT)
    assert doctor.check_trunk().says == "It does not know this trunk."
    make_call(Status.ENDED, outcome="failed", ended_reason="error.configuration.trunk")
    assert doctor.check_trunk().says == "It does not know this trunk. Calls that ended for it in the last hour: 1."

    def away() -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(doctor, "trunk_trouble", away)
    assert doctor.check_trunk().says == "It does not know this trunk."


@pytest.mark.django_db
@pytest.mark.parametrize(("trunk", "state"), [("ST_1", State.OK), ("ST_2", State.WRONG)])
def test_the_trunk_has_to_be_one_that_livekit_knows(settings: Settings, service: Service, trunk: str, state: State) -> None:
    # ListSIPOutboundTrunkResponse{1: SIPOutboundTrunkInfo{1: "ST_1"}}
    service.body = b"\x0a\x06\x0a\x04ST_1"
    apply(settings, LIVEKIT_URL=service.url, SIP_TRUNK_ID=trunk, **LIVEKIT)
    assert doctor.check_trunk().state == state


# --- OpenAI -----------------------------------------------------------------------------------------------------------


def test_without_a_key_the_emulator_answers_on_the_sandbox_line() -> None:
    assert str(doctor.check_openai()) == "note   OpenAI    No key: on the sandbox line the built-in emulator answers."


def test_without_a_key_the_phone_line_has_no_voice(settings: Settings) -> None:
    apply(settings, LIVEKIT_URL="ws://127.0.0.1:1", **LIVEKIT)
    assert doctor.check_openai().state == State.WRONG


def test_a_good_key_and_its_models_are_ok(settings: Settings, service: Service) -> None:
    service.body = MODELS
    apply(settings, OPENAI_API_KEY="sk-1", OPENAI_BASE_URL=f"{service.url}/v1")
    assert doctor.check_openai().state == State.OK
    assert service.asked == [("/v1/models", "Bearer sk-1")]


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (401, {}, "The key is refused."),
        (404, {}, "It answers 404 to a list of its models."),
        (200, {"data": [{"id": "gpt-4o-mini-transcribe"}]}, "The key may not use gpt-realtime-2.1-mini."),
        (200, {"data": []}, "The key may not use gpt-realtime-2.1-mini and gpt-4o-mini-transcribe."),
        (200, {"models": []}, "Its list of models cannot be read."),
        (200, b"<html>", "Its list of models cannot be read."),
    ],
)
def test_what_is_wrong_with_the_key_or_the_model_is_said(
    settings: Settings, service: Service, status: int, body: object, says: str
) -> None:
    service.status, service.body = status, body
    apply(settings, OPENAI_API_KEY="sk-1", OPENAI_BASE_URL=f"{service.url}/v1")
    finding = doctor.check_openai()
    assert (finding.state, finding.says) == (State.WRONG, says)


def test_an_endpoint_that_is_not_there_is_wrong(settings: Settings) -> None:
    apply(settings, OPENAI_API_KEY="sk-1", OPENAI_BASE_URL=refused_port())
    assert doctor.check_openai().says == "No answer (ConnectError)."


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_machine_without_any_account_is_healthy() -> None:
    out = StringIO()
    call_command("doctor", stdout=out)
    assert [line.split()[:2] for line in out.getvalue().splitlines()] == [
        ["ok", "settings"],
        ["ok", "database"],
        ["ok" if connection.vendor == "sqlite" else "note", "queue"],
        ["note", "LiveKit"],
        ["note", "trunk"],
        ["note", "OpenAI"],
    ]


@pytest.mark.django_db
def test_the_exit_code_says_that_something_is_wrong(settings: Settings) -> None:
    apply(settings, LIVEKIT_URL="ws://127.0.0.1:1")
    with pytest.raises(SystemExit) as stopped:
        call_command("doctor", stdout=StringIO())
    assert stopped.value.code == 1

"""Asks for sandbox calls, and reads what became of them, in whatever database the environment names:

python -m tests.agent_worker.desk queue 2      the ids of two new calls
python -m tests.agent_worker.desk show         every call, as JSON
"""

from agent_worker import bootstrap  # noqa: F401, I001  # first: models are imported below

import json
import sys

from django.utils import timezone

from calls import lifecycle
from calls.models import Call, LineKind
from calls.requests import CallOrder, ConsentClaim, Requester, request_call
from personas.models import PersonaVersion
from tests.factories import OrganizationFactory, published_version
from tests.numbers import pt_mobile


FIELDS = (
    "status",
    "outcome",
    "ended_reason",
    "ended_by",
    "fault",
    "simulated",
    "worker",
    "opening_spoken",
    "opening_heard_to_end",
    "usage",
)


def queue(count: int) -> None:
    for _ in range(count):
        sys.stdout.write(f"{requested(LineKind.SANDBOX).pk}\n")


def dispatch() -> None:
    call = requested(LineKind.PHONE)
    assert lifecycle.claim_for_dispatch(call, by="desk")
    json.dump({"room": call.room, "metadata": {"call_id": str(call.pk), "claim": call.claim}}, sys.stdout)


def requested(line: LineKind) -> Call:
    version = PersonaVersion.objects.first() or published_version(organization=OrganizationFactory(phone_line=True), slug="restaurante")
    consent = ConsentClaim(purpose="transactional", basis="contact form", obtained_at=timezone.now(), text_version="2026-11")
    order = CallOrder(phone_number=pt_mobile(Call.objects.count()), persona="restaurante", line=line, consent=consent)
    return request_call(organization=version.persona.organization, by=Requester(user=None, channel="api"), order=order).call


def show() -> None:
    shown = [
        {name: getattr(call, name) for name in FIELDS}
        | {
            "events": [(event.kind, event.new or event.why) for event in call.events.all()],
            "turns": [(turn.role, turn.text) for turn in call.turns.all()],
        }
        for call in Call.objects.order_by("created_at")
    ]
    json.dump(shown, sys.stdout)


if __name__ == "__main__":
    {"queue": lambda: queue(int(sys.argv[2])), "dispatch": dispatch, "show": show}[sys.argv[1]]()

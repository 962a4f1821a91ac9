"""Asks for sandbox calls, and reads what became of them, in whatever database the environment names:

python -m tests.agent_worker.desk queue 2      the ids of two new calls
python -m tests.agent_worker.desk show         every call, as JSON
"""

from agent_worker import bootstrap  # noqa: F401, I001  # first: models are imported below

import json
import sys

from django.utils import timezone

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
    version = PersonaVersion.objects.first() or published_version(organization=OrganizationFactory(), slug="restaurante")
    organization = version.persona.organization
    requester = Requester(user=None, channel="api")
    consent = ConsentClaim(purpose="transactional", basis="contact form", obtained_at=timezone.now(), text_version="2026-11")
    first = Call.objects.count()
    for number in range(first, first + count):
        order = CallOrder(phone_number=pt_mobile(number), persona="restaurante", line=LineKind.SANDBOX, consent=consent)
        call = request_call(organization=organization, by=requester, order=order).call
        sys.stdout.write(f"{call.pk}\n")


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
    {"queue": lambda: queue(int(sys.argv[2])), "show": show}[sys.argv[1]]()

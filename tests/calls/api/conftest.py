"""A client of the API, and calls to ask it about."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from accounts.models import ApiKey, Organization, User
from calls.models import Call
from calls.requests import CallOrder, Requester, request_call
from personas.models import PersonaVersion
from tests.numbers import pt_mobile

START = "/api/start_call"
CALLS = "/api/v1/calls/"
CONSENT = {
    "purpose": "transactional",
    "basis": "order form, box ticked",
    "obtained_at": "2026-11-23T18:00:00Z",
    "text_version": "2026-11",
    "reference": "order 4417",
}


class ApiClient:
    """Sends JSON with a key, or with somebody's session."""

    def __init__(self, key: str = "", client: Client | None = None) -> None:
        self._client = client or Client()
        self._headers = {"HTTP_AUTHORIZATION": f"Bearer {key}"} if key else {}

    def post(self, address: str, body: object = None, **headers: str) -> Any:
        content = body if isinstance(body, str | bytes) else self._json(body)
        return self._client.post(address, content, content_type="application/json", **self._headers | headers)  # type: ignore[arg-type]

    def get(self, address: str, query: dict[str, Any] | None = None, **headers: str) -> Any:
        return self._client.get(address, query, **self._headers | headers)  # type: ignore[arg-type]

    def generic(self, method: str, address: str, body: str = "", content_type: str = "application/json") -> Any:
        return self._client.generic(method, address, body, content_type, **self._headers)  # type: ignore[arg-type]

    @staticmethod
    def _json(body: object) -> str:
        import json

        return "" if body is None else json.dumps(body)


@pytest.fixture(autouse=True)
def _fresh_counters() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def api(raw_key: str) -> ApiClient:
    """With the key of Alice's organization, which may do all and declares consent."""
    return ApiClient(raw_key)


@pytest.fixture
def anonymous() -> ApiClient:
    return ApiClient()


@pytest.fixture
def order(persona_version: PersonaVersion) -> dict[str, Any]:
    """The three fields of the site."""
    return {"phone_number": pt_mobile(1), "persona": persona_version.slug, "customer_name": "Ana"}


MakeCall = Callable[..., Call]


@pytest.fixture
def make_call(organization: Organization, persona_version: PersonaVersion, alice: User, api_key: ApiKey) -> MakeCall:
    """`make_call(n)`: a sandbox call of Alice's organization to the n-th number, in the queue."""

    def make(n: int = 1, **more: Any) -> Call:
        order = CallOrder(phone_number=pt_mobile(n), persona=persona_version.slug, **more)
        return request_call(organization=organization, by=Requester(user=alice, api_key=api_key), order=order).call

    return make

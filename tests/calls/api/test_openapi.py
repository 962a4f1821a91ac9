"""The OpenAPI document: complete, up to date, true, and served from here."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.contrib.staticfiles import finders
from django.test import Client
from django.utils import translation
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from calls.api.problems import CODES

from .conftest import CALLS, START, ApiClient

FILE = Path(__file__).parents[3] / "docs" / "openapi.yaml"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return written("en")


def written(language: str) -> dict[str, Any]:
    with translation.override(language):
        return yaml.safe_load(yaml.safe_dump(SchemaGenerator().get_schema(request=None, public=True)))  # type: ignore[no-any-return, no-untyped-call]


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    validate_schema(document)  # type: ignore[no-untyped-call]


def test_the_file_in_docs_is_up_to_date(document: dict[str, Any]) -> None:
    """`manage.py spectacular --lang en --file docs/openapi.yaml` writes it."""
    assert yaml.safe_load(FILE.read_text()) == document


def test_the_document_is_in_the_readers_language(document: dict[str, Any]) -> None:
    portuguese = written("pt")
    for written_down, words in ((document, "The body is too long"), (portuguese, "O corpo é longo demais")):
        assert written_down["paths"][START]["post"]["responses"]["413"]["description"] == f"- `too_long`: {words}"
    assert portuguese["info"]["description"].startswith("Inicie chamadas uma só vez")


def test_each_address_is_written_down_once(document: dict[str, Any]) -> None:
    assert {address: sorted(set(item)) for address, item in document["paths"].items()} == {
        "/api/start_call": ["post"],
        "/api/v1/calls/": ["get", "post"],
        "/api/v1/calls/{call_id}/": ["get"],
        "/api/v1/calls/{call_id}/cancel/": ["post"],
        "/api/v1/calls/{call_id}/transcript/": ["get"],
    }


def test_each_code_is_written_down(document: dict[str, Any]) -> None:
    assert set(re.findall(r"`([a-z_.]+)`: ", FILE.read_text())) == set(CODES) - {"bad_request"}


def answer_schema(document: dict[str, Any], address: str, method: str, status: str) -> Draft202012Validator:
    (media,) = document["paths"][address][method]["responses"][status]["content"].values()
    return Draft202012Validator({**media["schema"], "components": document["components"]})


@pytest.mark.django_db
def test_answers_are_what_the_document_says(document: dict[str, Any], api: ApiClient, order: dict[str, Any]) -> None:
    call = api.post(START, order)
    one = f"{CALLS}{call.json()['id']}/"
    for answer, place in [
        (call, (START, "post", "202")),
        (api.get(CALLS), (CALLS, "get", "200")),
        (api.get(one), (CALLS + "{call_id}/", "get", "200")),
        (api.get(one + "transcript/"), (CALLS + "{call_id}/transcript/", "get", "200")),
        (api.post(one + "cancel/"), (CALLS + "{call_id}/cancel/", "post", "200")),
        (api.get(one), (CALLS + "{call_id}/", "get", "200")),
        (api.post(START, order | {"persona": "nobody"}), (START, "post", "422")),
        (api.get(CALLS, {"status": "dreaming"}), (CALLS, "get", "400")),
    ]:
        assert str(answer.status_code) == place[2]
        assert list(answer_schema(document, *place).iter_errors(answer.json())) == []
        # Nothing is answered that the document does not name.
        named = answer_schema(document, *place).schema["$ref"].rsplit("/", 1)[1]
        assert set(answer.json()) == set(document["components"]["schemas"][named]["properties"])


@pytest.mark.django_db
def test_the_page_to_try_it_needs_no_other_host(client: Client) -> None:
    page = client.get("/api/docs/").content.decode()
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert addresses
    for address in addresses:
        assert address.startswith("/static/")
        assert finders.find(address.removeprefix("/static/"))
    assert client.get("/api/schema/").status_code == 200

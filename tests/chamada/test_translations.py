"""What people read is in Portuguese, and the compiled catalogues say what the written ones do."""

import re
from pathlib import Path

import polib
import pytest
from django.utils import translation

from devtools.catalogues import CATALOGUES, in_template, marked

PLACES = re.compile(r"%\(\w+\)s|\{+ ?\w*:?\w* ?\}+")


@pytest.fixture(params=CATALOGUES)
def catalogue(request: pytest.FixtureRequest) -> polib.POFile:
    return polib.pofile(str(CATALOGUES[request.param]))


def test_what_is_compiled_is_what_is_written(catalogue: polib.POFile) -> None:
    """`python -m devtools.catalogues` compiles it."""
    compiled = polib.mofile(str(Path(catalogue.fpath).with_suffix(".mo")))
    assert {entry.msgid: entry.msgstr for entry in compiled} == {entry.msgid: entry.msgstr for entry in catalogue}


def test_each_string_that_people_read_is_translated() -> None:
    """`python -m devtools.catalogues` finds the new ones; the words are written into locale/pt/LC_MESSAGES/django.po."""
    translated = {entry.msgid for entry in polib.pofile(str(CATALOGUES["pt"])) if entry.msgstr}
    assert {text: places for text, places in marked().items() if text not in translated} == {}


def test_a_translation_has_the_places_of_its_original(catalogue: polib.POFile) -> None:
    for entry in catalogue:
        assert sorted(PLACES.findall(entry.msgid)) == sorted(PLACES.findall(entry.msgstr)), entry.msgid


def test_no_translation_is_left_of_a_string_that_is_gone(catalogue: polib.POFile) -> None:
    """Those of libraries carry the library's name."""
    strings = marked()
    assert [entry.msgid for entry in catalogue if entry.msgid not in strings and not entry.comment] == []


def test_nothing_says_voce_in_portugal() -> None:
    for entry in polib.pofile(str(CATALOGUES["pt"])):
        assert not re.search(r"\bvocês?\b|\bcelular|!", entry.msgstr, re.IGNORECASE), entry.msgstr


@pytest.mark.parametrize(
    ("language", "words"), [("pt", "factos"), ("pt-br", "fatos"), ("en", "facts")], ids=["Portugal", "Brazil: its own words", "English"]
)
def test_each_language_has_its_words(language: str, words: str) -> None:
    with translation.override(language):
        assert translation.gettext("facts") == words


def test_brazil_reads_portugals_words_where_they_are_the_same() -> None:
    with translation.override("pt-br"):
        assert translation.gettext("the line was busy") == "a linha estava ocupada"


def test_marked_strings_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('{% translate "One" %}{% blocktranslate with a=b %}Two {{ a }}{% endblocktranslate %}{{ x|default:_("Three") }}')
    assert in_template(page) == ["One", "Two %(a)s", "Three"]
    strings = marked()
    assert "calls/states.py" in strings["the line was busy"]
    assert "calls/exceptions.py" in strings["This number is being called already. Wait until that call has ended."]
    assert "{sentence}" not in strings

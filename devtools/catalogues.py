"""What people read, in Portuguese: finds the marked strings, brings the catalogues up to date, and compiles them.

    python -m devtools.catalogues

Needs no gettext: strings are found in the syntax tree of our modules and in our templates. The sentences of refusals are
their classes' docstrings. Unfold ships no translations: its strings stand in our catalogue as well.
"""

import ast
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import django
import polib
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
APPS = ("accounts", "personas", "contacts", "calls", "agent_worker", "chamada")
MARKS = frozenset({"_", "gettext", "gettext_lazy", "gettext_noop"})
# Classes whose docstring people read, and those that are made of them.
SENTENCES = frozenset({"Refusal", "CallError", "ContactError", "Problem"})
# The sentence of a refusal that only carries on another one's.
GIVEN = "{sentence}"
# As django.utils.translation.templatize writes what a template marks.
IN_TEMPLATES = re.compile(r"""(?:\bgettext|\b_)\(u?("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')\)""")
CATALOGUES = {language: ROOT / "locale" / language / "LC_MESSAGES" / "django.po" for language in ("pt", "pt_BR")}


def modules() -> Iterator[Path]:
    for app in APPS:
        yield from sorted((ROOT / app).rglob("*.py"))


def templates() -> Iterator[Path]:
    folders = [ROOT / "templates", *(ROOT / app / "templates" for app in APPS)]
    for folder in folders:
        yield from sorted(file for file in folder.rglob("*") if file.suffix in (".html", ".svg", ".txt"))


def marked() -> dict[str, list[str]]:
    """Our strings, each with the files that it stands in."""
    found: dict[str, list[str]] = {}
    trees = {file: ast.parse(file.read_text()) for file in modules()}
    told = _classes_that_tell(trees.values())
    for file, tree in trees.items():
        for text in (*_in_calls(tree), *_in_docstrings(tree, told)):
            found.setdefault(text, []).append(str(file.relative_to(ROOT)))
    for file in templates():
        for text in in_template(file):
            found.setdefault(text, []).append(str(file.relative_to(ROOT)))
    return found


def in_template(file: Path) -> list[str]:
    """The strings that a template marks."""
    return [ast.literal_eval(text) for text in IN_TEMPLATES.findall(templatize(file.read_text()))]


def _in_calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKS and node.args:
            text = node.args[0]
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                yield text.value


def _classes_that_tell(trees: Iterable[ast.Module]) -> frozenset[str]:
    """The names of all classes that come from SENTENCES, over all modules."""
    bases: dict[str, set[str]] = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                bases.setdefault(node.name, set()).update(base.id for base in node.bases if isinstance(base, ast.Name))
    told = set(SENTENCES)
    while more := {name for name, of in bases.items() if of & told} - told:
        told |= more
    return frozenset(told)


def _in_docstrings(tree: ast.AST, told: frozenset[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name in told:
            text = ast.get_docstring(node, clean=False)
            if text and text != GIVEN:
                yield text


def update(language: str) -> list[str]:
    """Bring one catalogue up to date and compile it; gives the strings that are not translated yet."""
    file, strings = CATALOGUES[language], marked()
    catalogue = polib.pofile(str(file), wrapwidth=120)  # type: ignore[no-untyped-call]
    known = {entry.msgid: entry for entry in catalogue}
    for text, places in sorted(strings.items()):
        entry = known.get(text)
        if entry is None and language == "pt":
            entry = polib.POEntry(msgid=text)  # type: ignore[no-untyped-call]
            catalogue.append(entry)
        if entry is not None:
            entry.occurrences = [(place, "") for place in sorted(set(places))]
    catalogue.sort(key=lambda entry: entry.msgid)
    catalogue.save()
    catalogue.save_as_mofile(str(file.with_suffix(".mo")))
    return [entry.msgid for entry in catalogue if not entry.msgstr]


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chamada.settings")
    django.setup()
    missing = [f"{language}: {text}" for language in CATALOGUES for text in update(language)]
    sys.exit("\n".join(missing))

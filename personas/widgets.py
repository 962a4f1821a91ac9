"""Form fields for what a persona holds as lists: one item a line, and tools as boxes."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextareaWidget

from .checking import ANALYSIS_TYPES
from .tools_registry import OBLIGATORY, OPTIONAL, REGISTRY

MAX_LINES_LENGTH = 20_000


class LinesField(forms.CharField):
    """A list of strings, written one a line; empty lines do not count."""

    def __init__(self, *, rows: int = 4, **options: Any) -> None:
        options.setdefault("widget", UnfoldAdminTextareaWidget(attrs={"rows": rows}))
        super().__init__(required=options.pop("required", False), max_length=MAX_LINES_LENGTH, **options)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        return [line.strip() for line in str(super().clean(value)).splitlines() if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((initial or []) != self.clean(data))


class AnalysisField(LinesField):
    """Fields to draw from a transcript, one a line: `pessoas: number`, `interesse: choice alto | baixo`."""

    def prepare_value(self, value: Any) -> Any:
        return super().prepare_value([analysis_line(field) for field in value] if isinstance(value, list) else value)

    def clean(self, value: Any) -> Any:
        return [self._field(line) for line in super().clean(value)]

    def _field(self, line: str) -> dict[str, Any]:
        name, colon, rest = (part.strip() for part in line.partition(":"))
        kind, _space, options = (part.strip() for part in rest.partition(" "))
        if not colon or kind not in ANALYSIS_TYPES:
            raise forms.ValidationError(
                _("“{line}” is not a field. One a line: “name: type”, where type is one of {types}.").format(
                    line=line[:60], types=", ".join(ANALYSIS_TYPES)
                )
            )
        field: dict[str, Any] = {"name": name, "type": kind}
        if kind == "choice":
            field["options"] = [option.strip() for option in options.split("|") if option.strip()]
        return field


def analysis_line(field: dict[str, Any]) -> str:
    """A field to draw as one line of text."""
    return f"{field['name']}: {field['type']} {' | '.join(field.get('options', []))}".strip()


class ToolsWidget(UnfoldAdminCheckboxSelectMultipleWidget):
    """The registry as boxes; those of every persona are ticked and cannot be unticked."""

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option: dict[str, Any] = super().create_option(name, value, *args, **kwargs)
        if value in OBLIGATORY:
            look = f"{option['attrs'].get('class', '')} cursor-not-allowed opacity-50"
            option["attrs"] |= {"checked": True, "disabled": True, "class": look}
        return option


class ToolsField(forms.MultipleChoiceField):
    """The tools that staff choose; the obligatory ones are shown with them."""

    def __init__(self, **options: Any) -> None:
        choices = [(tool.name, f"{tool.name}: {tool.title}") for tool in REGISTRY.values()]
        super().__init__(choices=choices, required=False, widget=ToolsWidget, **options)

    def clean(self, value: Any) -> Sequence[str]:
        return [name for name in super().clean(value) if name in OPTIONAL]

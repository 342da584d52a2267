"""How people's texts and times become values: the fields that the forms share."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms

from majorops.lib.times import iso


class Prose(forms.CharField):
    """Text of several lines, with the line ends the database keeps."""

    def __init__(self, *, rows: int = 3, **kwargs: Any) -> None:
        super().__init__(widget=forms.Textarea(attrs={"rows": rows}), **kwargs)

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n")


class Names(Prose):
    """A list of names, one a line or separated by commas."""

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        if isinstance(value, list):
            return value
        lines = super().to_python(value).replace(",", "\n").split("\n")
        return [line.strip() for line in lines if line.strip()]

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.to_python(initial or "") != self.to_python(data or "")


class YesOrNo(forms.TypedChoiceField):
    """A switch that says its state in a word; a browser sends it either way, which a checkbox does not."""

    def __init__(self, **kwargs: Any) -> None:
        choices = [("False", "No"), ("True", "Yes")]
        super().__init__(choices=choices, coerce=lambda value: str(value) == "True", **kwargs)


class Moment(forms.CharField):
    """An instant: `14:02` (UTC), `-7m`, or a full time with its zone. Shown as the last."""

    def __init__(self, **kwargs: Any) -> None:
        attrs = {"autocomplete": "off", "placeholder": kwargs.pop("placeholder", "now")}
        super().__init__(max_length=40, required=False, widget=forms.TextInput(attrs=attrs), **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return iso(value) if isinstance(value, datetime) else value

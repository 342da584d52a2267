"""A file is known by what it says; one that is not known is refused with the names of all that are."""

from __future__ import annotations

from pathlib import Path

import pytest

from incidents.intake import FileRefused
from incidents.intake.formats import Format, FormatUnknown, recognise

FIXTURES = Path(__file__).parent / "fixtures"
LOOK = b'{"fetched_at": "2026-03-02T10:00:00Z", "body": ""}'


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("statuspage.json", Format.STATUSPAGE),
        ("googlecloud.json", Format.GOOGLE_CLOUD),
        ("servicenow.csv", Format.SERVICENOW),
        ("volvo.csv", Format.VOLVO),
        ("postmortem.md", Format.POSTMORTEM),
    ],
)
def test_a_file_is_known_by_its_content(name: str, format: Format) -> None:
    content = (FIXTURES / name).read_bytes()
    assert recognise(content) == format
    assert recognise(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n")) == format


@pytest.mark.parametrize(
    ("content", "format"),
    [
        (LOOK + b"\n" + LOOK, Format.SNAPSHOTS),
        (b"[" + LOOK + b"]", Format.SNAPSHOTS),
        (LOOK, Format.SNAPSHOTS),
        (b'{"a"\n' + LOOK + b"\n{", Format.SNAPSHOTS),
        (b'{"page": {"id": "p"}, "incidents": [], "scheduled_maintenances": []}', Format.STATUSPAGE),
        (b'[{"id": "1", "name": "x", "impact": "none", "new_field": 7}]', Format.STATUSPAGE),
        (b'{"id": "1", "name": "x", "incident_updates": []}', Format.STATUSPAGE),
        (b'{"page": {"id": "p"}, "incident": {"id": "1", "name": "x", "incident_updates": []}}', Format.STATUSPAGE),
        (b'[7, {"id": "1", "external_desc": "x", "begin": "2026-03-02T10:00:00Z"}]', Format.GOOGLE_CLOUD),
    ],
)  # fmt: skip
def test_unusual_shapes_of_a_format_are_known(content: bytes, format: Format) -> None:
    assert recognise(content) == format


@pytest.mark.parametrize(
    "content", [b"[]", b"[1]", b"{}", b"hello", b"a,b,c\n1,2,3\n", b"# Title\n\nno times\n", b"[[]]"]
)
def test_what_is_not_known_is_refused_with_what_is(content: bytes) -> None:
    with pytest.raises(FormatUnknown) as refused:
        recognise(content)
    assert all(format.value in refused.value.message for format in Format)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n<!DOCTYPE html>", "XML or HTML"),
        (b'[{"incident_upd', "breaks off"),
        (b"\xff\xfeh\0", "UTF-16"),
    ],
)
def test_what_is_broken_is_refused_with_the_reason(content: bytes, says: str) -> None:
    with pytest.raises(FileRefused, match=says):
        recognise(content)

"""The directory as a file. What a file would change is found by changing it in a transaction that is taken back.

Columns: slug, name, rated_box, on_call_contact, is_active, aliases, members; the last two hold several, separated by
a semicolon. A row finds its team by the slug. Aliases and members are added, never taken away by a file. Addresses for
notifications are in no file: they hold secrets.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from django.db import transaction
from django.db.models import QuerySet

from accounts.models import User
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.text import clean_text
from teams import actions
from teams.alarm import AlarmLevel
from teams.models import Team

COLUMNS = ("slug", "name", "rated_box", "on_call_contact", "is_active", "aliases", "members")
MAX_CHARACTERS = 500_000
MAX_ROWS = 2_000
#: A spreadsheet takes a cell that begins so for a formula; an apostrophe keeps it a text.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
#: Spreadsheets of some countries write semicolons between cells.
DELIMITERS = (",", ";", "\t")
YES, NO = ("yes", "true", "1", "on", "active"), ("no", "false", "0", "off")


class Fate(StrEnum):
    NEW = "new"
    CHANGED = "changed"
    SAME = "same"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Line:
    """What a row of the file does."""

    number: int
    slug: str
    fate: Fate
    #: (column, before, after)
    changes: tuple[tuple[str, str, str], ...] = ()
    error: str = ""


def export(teams: QuerySet[Team]) -> str:
    """The teams as CSV, in the order they come."""
    written = io.StringIO()
    rows = csv.writer(written)
    rows.writerow(COLUMNS)
    for team in teams.prefetch_related("aliases", "members"):
        rows.writerow(_escaped(text) for text in _shown(team).values())
    return written.getvalue()


def _escaped(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text


def _plain(text: str) -> str:
    text = text.strip()
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text


def _shown(team: Team) -> dict[str, str]:
    return {
        "slug": team.slug,
        "name": team.name,
        "rated_box": team.rated_box or "",
        "on_call_contact": team.on_call_contact,
        "is_active": "yes" if team.is_active else "no",
        "aliases": "; ".join(sorted(row.alias for row in team.aliases.all())),
        "members": "; ".join(sorted(person.email for person in team.members.all())),
    }


def compare(text: str) -> list[Line]:
    """What each row would do. Writes nothing. Raises Invalid for a file that cannot be read."""
    return _run(text, is_final=False)


def commit(text: str) -> list[Line]:
    """Writes all rows, or none where one of them is wrong."""
    return _run(text, is_final=True)


def _run(text: str, *, is_final: bool) -> list[Line]:
    with transaction.atomic():
        lines = [_applied(number, cells) for number, cells in _rows(text)]
        is_wrong = any(line.fate is Fate.ERROR for line in lines)
        transaction.set_rollback(not is_final or is_wrong)
    return lines


def _rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    if len(text) > MAX_CHARACTERS:
        raise Invalid(f"The file has more than {MAX_CHARACTERS:,} characters.", field="file")
    clean_text(text, field="file", max_length=MAX_CHARACTERS)
    text = text.lstrip("\ufeff")
    delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names = [name.strip().casefold() for name in rows.fieldnames or ()]
    if "slug" not in names or len(set(names)) < len(names):
        raise Invalid(f"The first line must name the columns, once each: {', '.join(COLUMNS)}.", field="file")
    if unknown := sorted(set(names) - set(COLUMNS)):
        raise Invalid(f"Unknown columns: {', '.join(unknown)[:200]}. Known are {', '.join(COLUMNS)}.", field="file")
    rows.fieldnames = names
    try:
        for count, cells in enumerate(rows):
            if count == MAX_ROWS:
                raise Invalid(f"The file has more than {MAX_ROWS:,} rows.", field="file")
            if None in cells or None in cells.values():
                raise Invalid(f"Line {rows.line_num} has not as many cells as the first line. Mend its quotes.")
            yield rows.line_num, {name: _plain(cell) for name, cell in cells.items() if name}
    except csv.Error as error:
        raise Invalid(f"The file cannot be read near line {rows.line_num} ({error}). Mend its quotes.") from None


def _applied(number: int, cells: dict[str, str]) -> Line:
    slug = cells.get("slug", "")
    try:
        with transaction.atomic():
            return _changed(number, slug, cells)
    except DomainError as error:
        return Line(number, slug, Fate.ERROR, error=error.message)


def _changed(number: int, slug: str, cells: dict[str, str]) -> Line:
    if not slug:
        raise Invalid("slug is empty.", field="slug")
    team = _whole(slug=slug)
    before = _shown(team) if team else dict.fromkeys(COLUMNS, "")
    aliases, fields, people = _listed(cells.get("aliases")), _fields(cells), _people(cells.get("members"))
    if team is None:
        name = str(fields.pop("name", ""))
        team = actions.add_team(name, slug=slug, aliases=aliases, members=people, **fields)
    else:
        actions.change_team(team, aliases=aliases, members=people, **fields)
    after = _shown(_whole(pk=team.pk) or team)
    changes = tuple((name, before[name], after[name]) for name in COLUMNS if before[name] != after[name])
    return Line(number, slug, Fate.NEW if not before["slug"] else Fate.CHANGED if changes else Fate.SAME, changes)


def _whole(**by: str) -> Team | None:
    """A team as it is now, with what a row shows of it."""
    return Team.objects.filter(**by).prefetch_related("aliases", "members").first()


def _listed(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(";") if part.strip()]


def _fields(cells: dict[str, str]) -> dict[str, object]:
    """The columns that the file has; one that it has not stays as it is."""
    found: dict[str, object] = {name: cells[name] for name in ("name", "on_call_contact") if name in cells}
    if "rated_box" in cells:
        box = cells["rated_box"].casefold().replace(" ", "")
        if box and box not in AlarmLevel.values:
            raise Invalid(f"rated_box is {', '.join(AlarmLevel.values)} or empty.", field="rated_box")
        found["rated_box"] = box or None
    if word := cells.get("is_active", "").casefold():
        if word not in (*YES, *NO):
            raise Invalid("is_active is yes or no.", field="is_active")
        found["is_active"] = word in YES
    return found


def _people(text: str | None) -> Iterable[User]:
    emails = [email.casefold() for email in _listed(text)]
    people = {person.email: person for person in User.objects.filter(email__in=emails)}
    if missing := [email for email in emails if email not in people]:
        raise Invalid(f"Nobody here has the address {', '.join(missing)[:200]}.", field="members")
    return people.values()

"""Definitions as files: YAML (one per slug, for git), JSON and CSV out and in; Markdown out.

What is written reads back as the same definition. A file is data: nothing in it runs, and it is planned row by row,
with what would change, before anything is saved.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

import yaml
from django.core.exceptions import ValidationError
from django.db import transaction

from kpis.actions import Edit, Editor, Running, Saved, create, draft_of, publish, running_of, save
from kpis.definitions import RUNNING, audience_of, check_spec, kpi_shapes, shape_of, targets_of
from kpis.differences import FieldChange, differences
from kpis.formulas import KpiShape, references_in
from kpis.models import DefinitionStatus, KpiDefinition
from kpis.target_maps import listed
from kpis.targets import Stated, check, in_short, rendered, stated
from majorops.lib.errors import Invalid
from majorops.lib.text import clean_text

#: The fields of a file in their order. The status is no field: a definition runs by being published, not by a file.
FIELDS = (
    "slug",
    "name",
    "description",
    "formula",
    "units",
    "spec",
    "targets",
    "visibility",
    "stakeholder_visible",
    "is_personal",
    "owner",
    "review_cadence",
    "proxy_for",
)
REQUIRED = ("slug", "name", "description", "formula", "units", "owner")
FLAGS = ("stakeholder_visible", "is_personal")
DESCRIBED = tuple(name for name in FIELDS if name not in ("slug", "targets", *RUNNING))
DEFAULTS: dict[str, Any] = {"visibility": "internal", "review_cadence": "quarterly", "proxy_for": ""}
MAX_BYTES, MAX_DEFINITIONS = 1_000_000, 500
#: Where keys of a formula come first; the rest follows by name. PostgreSQL does not keep the order they came in.
_FIRST = (
    *("schema", "subject", "group_by", "windows", "unit", "kind", "start", "end", "source", "rows", "field", "op"),
    *("when", "statistic", "value", "warn", "where", "at"),
)
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Document:
    """One definition as a file says it, checked field by field."""

    slug: str
    described: Mapping[str, object]
    running: Running
    targets: tuple[Stated, ...]

    def content(self) -> dict[str, object]:
        """The fields in their order, for a file or a comparison."""
        told: dict[str, object] = {"slug": self.slug, **self.described}
        told |= {name: getattr(self.running, name) for name in RUNNING}
        told["targets"] = [rendered(target) for target in sorted(self.targets, key=_place)]
        return {name: ordered(told[name]) for name in FIELDS}


def _place(target: Stated) -> tuple[object, ...]:
    """The one order of targets: a database puts those without a day first or last, as it likes."""
    named = (target.severity, target.alarm_level, target.persona, target.statistic)
    return (*named, target.due_on or date.min, target.effective_from or date.min, target.operator, target.value)


def document_of(definition: KpiDefinition) -> Document:
    """The definition as it runs; one that never ran, as its draft says."""
    draft = draft_of(definition) if definition.status == DefinitionStatus.DRAFT else None
    return Document(
        slug=definition.slug,
        described={name: getattr(definition, name) for name in DESCRIBED},
        running=running_of(draft or definition),
        targets=tuple(stated(targets_of(definition))),
    )


def documents_of(definitions: Iterable[KpiDefinition]) -> list[Document]:
    return [document_of(definition) for definition in definitions]


def ordered(value: object) -> Any:
    """The same value with every object's keys in the one order that files have."""
    if isinstance(value, Mapping):
        rank = {name: place for place, name in enumerate(_FIRST)}
        names = sorted(value, key=lambda name: (rank.get(str(name), len(rank)), str(name)))
        return {name: ordered(value[name]) for name in names}
    return [ordered(each) for each in value] if isinstance(value, list | tuple) else value


# --- Out ---


def to_yaml(document: Document) -> str:
    return yaml_of(document.content())


def yaml_of(content: Mapping[str, object]) -> str:
    """What `Document.content` gave, as a file."""
    return yaml.dump(dict(content), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def to_zip(documents: Iterable[Document]) -> bytes:
    """One YAML file per slug; the same definitions give the same bytes."""
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        for document in documents:
            archive.writestr(zipfile.ZipInfo(f"{document.slug}.yaml"), to_yaml(document))
    return found.getvalue()


def to_json(documents: Iterable[Document]) -> str:
    return json.dumps([document.content() for document in documents], ensure_ascii=False, indent=2) + "\n"


def to_csv(documents: Iterable[Document]) -> str:
    """A row per definition; formula and targets are JSON in their cells. A spreadsheet computes none of it."""
    found = io.StringIO()
    lines = csv.writer(found, lineterminator="\r\n")
    lines.writerow(FIELDS)
    for document in documents:
        lines.writerow(_cell(value) for value in document.content().values())
    return found.getvalue()


def _cell(value: object) -> str:
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith((*_FORMULA_SIGNS, "'")) else text


def to_markdown(documents: Iterable[Document]) -> str:
    """For a wiki: a section per definition."""
    return "\n".join(line for document in documents for line in _section(document))


def _section(document: Document) -> Iterator[str]:
    told = document.content()
    yield f"## {_marked(told['name'])} (`{document.slug}`)\n"
    yield f"{_marked(told['description'])}\n"
    yield "| Field | Value |\n|---|---|"
    yield f"| Formula | {_marked(told['formula'])} |\n| Units | {_marked(told['units'])} |"
    yield f"| Targets | {_marked('; '.join(map(in_short, document.targets)) or 'none')} |"
    for name in DESCRIBED[2:]:
        yield f"| {name.replace('_', ' ').capitalize()} | {_marked(told[name])} |"
    yield f"\n```json\n{json.dumps(told['spec'], ensure_ascii=False, indent=2)}\n```\n"


def _marked(value: object) -> str:
    """Text that stays text in Markdown: in one line, and without a sign that would mean something."""
    words = {True: "yes", False: "no"}.get(value) if isinstance(value, bool) else " ".join(str(value).split())
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in words or "")


class _Dumper(yaml.SafeDumper):
    """Long texts as blocks, lists indented: what a person would write and git compares well."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


# --- In ---


class _Loader(yaml.SafeLoader):
    """YAML without its traps: no anchors, no repeated keys, no text that becomes a date or a yes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("anchors and aliases are not read here; write it out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        names = [key.value for key, _ in node.value]
        if double := next((name for name in names if names.count(name) > 1), None):
            raise yaml.YAMLError(f"{double} is there twice")
        return super().construct_mapping(node, deep)


_KEPT = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_Loader.yaml_implicit_resolvers = {
    sign: [(tag, pattern) for tag, pattern in found if tag in _KEPT]
    for sign, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), ["t", "f"])


class _OurLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same words, ten times as fast where libyaml is. It trusts the file not to be an attack."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


def read_ours(text: str) -> list[Any]:
    """A YAML file that came with the program, e.g. of a pack."""
    found = yaml.load(text, Loader=_OurLoader)  # noqa: S506  # a SafeLoader as well
    return found if isinstance(found, list) else [found]


def read(name: str, content: bytes) -> list[Any]:
    """The definitions a file holds, not yet checked. The ending of its name says how to read it.

    Raises Invalid for what is no such file.
    """
    if len(content) > MAX_BYTES:
        raise Invalid(f"{name} has more than {MAX_BYTES:,} bytes. Import it in parts.", field="file")
    ending = name.rpartition(".")[2].lower()
    reader = {"yaml": _from_yaml, "yml": _from_yaml, "json": _from_json, "csv": _from_csv}.get(ending)
    if ending == "zip":
        found = _from_zip(name, content)
    elif reader is None:
        raise Invalid(f"{name} ends with none of .yaml, .yml, .json, .csv and .zip.", field="file")
    else:
        found = _parsed(name, content, reader)
    if len(found) > MAX_DEFINITIONS:
        raise Invalid(f"{name} has more than {MAX_DEFINITIONS} definitions. Import it in parts.", field="file")
    return found


def read_all(files: Iterable[tuple[str, bytes]]) -> list[Any]:
    """Those of several files, (name, content). Raises Invalid for what is too much at once, and for a file of something
    else."""
    given, found = list(files), list[Any]()
    for name, content in given:
        found += (inside := read(name, content))
        if not all(isinstance(told, dict) and told.get("slug") for told in inside):
            raise Invalid(f"{name} holds something without a slug, so it is no definition.", field="file")
    if len(found) > MAX_DEFINITIONS:
        raise Invalid(f"These are more than {MAX_DEFINITIONS} definitions. Import them in parts.", field="file")
    if sum(len(content) for _, content in given) > MAX_BYTES:
        raise Invalid(f"These are more than {MAX_BYTES:,} bytes. Import them in parts.", field="file")
    return found


def _parsed(name: str, content: bytes, reader: Any) -> list[Any]:
    try:
        return list(reader(content.decode("utf-8-sig")))
    except UnicodeDecodeError:
        raise Invalid(f"{name} is not UTF-8 text.", field="file") from None
    except RecursionError:
        raise Invalid(f"{name} is nested too deeply.", field="file") from None
    except (ValueError, yaml.YAMLError, csv.Error) as error:
        raise Invalid(f"{name} cannot be read: {' '.join(str(error).split())[:300]}", field="file") from None


def _from_yaml(text: str) -> list[Any]:
    found = yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader that can do less
    return found if isinstance(found, list) else [found]


def _from_json(text: str) -> list[Any]:
    found = json.loads(text)
    return found if isinstance(found, list) else [found]


def _from_csv(text: str) -> Iterator[dict[str, object]]:
    for row in csv.DictReader(io.StringIO(text, newline=""), strict=True):
        told = {name: _uncelled(cell) for name, cell in row.items() if name is not None and cell is not None}
        for name in ("spec", "targets", *FLAGS):
            if name in told:
                told[name] = json.loads(told[name]) if told[name] else None
        yield dict(told)


def _uncelled(cell: str) -> Any:
    return cell[1:] if cell.startswith(tuple(f"'{sign}" for sign in (*_FORMULA_SIGNS, "'"))) else cell


def _from_zip(name: str, content: bytes) -> list[Any]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            inside = [info for info in archive.infolist() if not info.is_dir() and not info.filename.endswith(".zip")]
            if sum(info.file_size for info in inside) > MAX_BYTES:
                raise Invalid(f"{name} unpacks to more than {MAX_BYTES:,} bytes. Import it in parts.", field="file")
            return [told for info in inside for told in read(info.filename, archive.read(info))]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
        raise Invalid(f"{name} is no zip archive that can be read.", field="file") from None


def document(told: object) -> Document:
    """The definition that a file states, with a formula that can run. Raises Invalid with the path of what is wrong."""
    made = said(told)
    _check_formula(made, None)
    return made


def _check_formula(made: Document, kpis: Mapping[str, KpiShape] | None) -> None:
    if made.running.spec is not None:
        audience = audience_of(_row(made))
        check_spec(made.running.spec, made.running.units, slug=made.slug, audience=audience, kpis=kpis)


def said(told: object) -> Document:
    """The same, whatever its formula says."""
    if not isinstance(told, dict):
        raise Invalid("A definition is an object with slug, name, formula and so on.", field="")
    if unknown := sorted(str(name) for name in {*told} - {*FIELDS}):
        raise Invalid(f"There is no field {unknown[0]}. A definition has {', '.join(FIELDS)}.", field=unknown[0])
    if missing := [name for name in REQUIRED if told.get(name) in (None, "")]:
        raise Invalid(f"{missing[0]} is needed.", field=missing[0])
    described = {name: _described(name, told.get(name)) for name in DESCRIBED}
    running = Running(_string("formula", told["formula"]), _jsonable(told.get("spec")), _string("units", told["units"]))
    targets = stated(listed(told.get("targets") or [], running.units))
    made = Document(_string("slug", told["slug"]), described, running, tuple(targets))
    _check(made)
    return made


def _described(name: str, value: object) -> object:
    if name in FLAGS:
        if value is not None and not isinstance(value, bool):
            raise Invalid(f"{name} is true or false.", field=name)
        return bool(value)
    return _string(name, DEFAULTS.get(name) if value is None else value)


def _string(name: str, value: object) -> str:
    return clean_text(value, field=name).replace("\r\n", "\n")


def _jsonable(spec: object) -> object:
    """The formula with nothing in it but what JSON has."""
    try:
        return json.loads(json.dumps(spec, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        raise Invalid("The formula has something in it that is not JSON.", field="spec") from None


def _check(made: Document) -> None:
    """Field by field as the admin form would, and the targets among themselves."""
    try:
        _row(made).clean_fields(exclude=["spec"])
    except ValidationError as error:
        name, sentences = next(iter(error.message_dict.items()))
        raise Invalid(f"{name}: {' '.join(sentences)}", field=name) from None
    check(made.targets)


def _row(made: Document) -> KpiDefinition:
    told = {"slug": made.slug, **made.described, **{name: getattr(made.running, name) for name in RUNNING}}
    return KpiDefinition(**told)


# --- What an import would do ---


class State(StrEnum):
    NEW = "new"
    CHANGED = "changed"
    SAME = "same"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Planned:
    """One definition of a file and what importing it would do."""

    slug: str
    state: State
    changes: tuple[FieldChange, ...] = ()
    error: str = ""
    document: Document | None = None


def plan(told: Sequence[object]) -> list[Planned]:
    """What each definition of a file would do. A KPI may be made of others that come in the same file. A slug that
    comes twice is an error at its second place."""
    read = [_said(each) for each in told]
    known, found, seen = _known([each for each in read if isinstance(each, Document)]), [], set()
    for each in read:
        planned = _planned(each, known) if isinstance(each, Document) else each
        if planned.document is not None and planned.slug in seen:
            planned = Planned(planned.slug, State.ERROR, error=f"{planned.slug} is in the file twice.")
        seen.add(planned.slug)
        found.append(planned)
    return found


def _known(made: Iterable[Document]) -> dict[str, KpiShape]:
    """What a formula may be made of once these are stored too."""
    return {**kpi_shapes(), **{each.slug: shape_of(_row(each)) for each in made}}


def _said(told: object) -> Document | Planned:
    try:
        return said(told)
    except Invalid as error:
        return _wrong(str(told.get("slug") or "?")[:64] if isinstance(told, dict) else "?", error)


def _wrong(slug: str, error: Invalid) -> Planned:
    where = f"{error.field}: " if error.field and not error.message.startswith(error.field) else ""
    return Planned(slug, State.ERROR, error=f"{where}{error.message}")


def _planned(made: Document, known: Mapping[str, KpiShape]) -> Planned:
    try:
        _check_formula(made, known)
    except Invalid as error:
        return _wrong(made.slug, error)
    stored = KpiDefinition.objects.prefetch_related("targets").filter(pk=made.slug).first()
    if stored is None:
        return Planned(made.slug, State.NEW, tuple(differences({}, made.content())), document=made)
    changes = tuple(differences(document_of(stored).content(), made.content()))
    return Planned(made.slug, State.CHANGED if changes else State.SAME, changes, document=made)


def planned_in_words(planned: Planned) -> dict[str, Any]:
    """As the API and the command line show it. Of what is new, every field would change: none is named."""
    changes = [change.name for change in planned.changes] if planned.state is State.CHANGED else []
    return {"kpi": planned.slug, "state": planned.state.value, "changes": changes, "error": planned.error or None}


@transaction.atomic
def commit(plan: Sequence[Planned], editor: Editor, *, reason: str, publish_too: bool = False) -> list[str]:
    """Saves what is new or changed, all or nothing, and says what became of each. Formulas wait as drafts, unless
    `publish_too`. Raises Invalid if the plan has an error."""
    if wrong := [each for each in plan if each.state is State.ERROR]:
        raise Invalid(f"{wrong[0].slug}: {wrong[0].error} Nothing was imported.", field="file")
    reason = clean_text(reason, field="reason", max_length=300, required=True)
    wanted = [(each, each.document) for each in plan if each.state is not State.SAME and each.document is not None]
    known = _known(made for _, made in wanted)
    return [
        _commit_one(each, made, editor, reason, known, publish_too=publish_too) for each, made in _parts_first(wanted)
    ]


def _parts_first(wanted: Sequence[tuple[Planned, Document]]) -> list[tuple[Planned, Document]]:
    """In the order of the file, but each KPI behind what it is made of; that no circle is among them was checked."""
    rows = {made.slug: (each, made) for each, made in wanted}
    ordered: dict[str, tuple[Planned, Document]] = {}

    def place(slug: str) -> None:
        for part in references_in(rows[slug][1].running.spec):
            if part in rows and part not in ordered:
                place(part)
        ordered.setdefault(slug, rows[slug])

    for slug in rows:
        place(slug)
    return list(ordered.values())


def _commit_one(
    planned: Planned, made: Document, editor: Editor, reason: str, known: Mapping[str, KpiShape], *, publish_too: bool
) -> str:
    edit = Edit(made.described, made.running, made.targets)
    stored = KpiDefinition.objects.filter(pk=made.slug).first()
    saved: Saved
    if stored is None:
        saved = create(made.slug, edit, editor, reason=reason, kpis=known)
    else:
        saved = save(stored, edit, editor, reason=reason, kpis=known)
    definition = KpiDefinition.objects.get(pk=made.slug)
    if publish_too and (saved.draft is not None or definition.status == DefinitionStatus.DRAFT):
        return publish(definition, editor, reason=reason).in_words(definition)
    told = f"{made.slug}: {planned.state}"
    return f"{told}, its formula is a draft until it is published" if saved.draft is not None else told

"""RULES: reads goals from the files of other tools, and says in which line a file is wrong.

OpenSLO v1 and v1alpha, Sloth (plain and for Kubernetes), slo-generator, and rules of Prometheus. The kind is told by
what a document says of itself, never by the name of the file; a file may hold several, of different kinds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import yaml

from majorops.lib.errors import Invalid

MAX_BYTES, MAX_DEPTH = 1_000_000, 40
_SCALARS = yaml.SafeLoader


class BadFile(Invalid):
    """This file cannot be read as goals."""

    code = "bad_slo_file"


@dataclass(frozen=True, slots=True)
class Goal:
    """A service level that somebody aims at: `share` of 1, over `window`."""

    name: str
    service: str
    title: str
    description: str
    share: float
    window: str
    form: str
    line: int

    @property
    def slug(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", f"slo {self.service} {self.name}".lower()).strip("-")[:64].strip("-")


@dataclass(frozen=True, slots=True)
class Watch:
    """An alert rule of Prometheus. Its expression reads what only Prometheus holds."""

    name: str
    expression: str
    hold: str
    severity: str
    line: int


@dataclass(frozen=True, slots=True)
class Contents:
    goals: tuple[Goal, ...]
    watches: tuple[Watch, ...]
    #: What stood there and is neither, e.g. an OpenSLO Service.
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spot:
    """A value of the file with the line it stands in."""

    value: object
    line: int

    def fail(self, text: str) -> BadFile:
        return BadFile(f"Line {self.line}: {text}", field="file", line=self.line)

    def get(self, name: str) -> Spot | None:
        return self.value.get(name) if isinstance(self.value, dict) else None

    def at(self, name: str) -> Spot:
        """What stands under this name. Raises BadFile."""
        if not isinstance(self.value, dict):
            raise self.fail(f"here should be fields, among them {name}.")
        if name not in self.value:
            raise self.fail(f"{name} is missing.")
        found: Spot = self.value[name]
        return found

    def each(self) -> list[Spot]:
        if not isinstance(self.value, list) or not self.value:
            raise self.fail("here should be a list with at least one entry.")
        return self.value

    def text(self) -> str:
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.fail("here should be a text.")
        return self.value.strip()

    def share(self, whole: float) -> float:
        """A goal as a share of 1; `whole` is what the format calls everything: 1 or 100."""
        number = self.value
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise self.fail("the goal should be a number.")
        if not 0 < number < whole:
            raise self.fail(f"a goal lies between 0 and {whole:g}, and {number:g} does not.")
        return round(number / whole, 12)


def read(content: bytes) -> Contents:
    """Everything in the file. Raises BadFile with the line; nothing is half read."""
    documents = _documents(content)
    goals: list[Goal] = []
    watches: list[Watch] = []
    others: list[str] = []
    for document in documents:
        for part in document.value if isinstance(document.value, list) else [document]:
            form = _form(part)
            if form is None:
                others.append(_kind(part))
            elif form is _prometheus:
                watches += _prometheus(part)
            else:
                goals += [each for each in form(part) if isinstance(each, Goal)]
    if not goals and not watches and not others:
        raise BadFile("Line 1: the file is empty.", field="file", line=1)
    _refuse_doubles(goals)
    return Contents(tuple(goals), tuple(watches), tuple(others))


def _refuse_doubles(goals: list[Goal]) -> None:
    seen: dict[str, int] = {}
    for goal in goals:
        if goal.slug in seen:
            raise BadFile(f"Line {goal.line}: {goal.slug} stands in line {seen[goal.slug]} already.", line=goal.line)
        seen[goal.slug] = goal.line


# --- YAML with lines ---


def _documents(content: bytes) -> list[Spot]:
    if len(content) > MAX_BYTES:
        raise BadFile("Line 1: the file is larger than 1 MB.", field="file", line=1)
    try:
        text = content.decode("utf-8-sig")
        for event in yaml.parse(text, Loader=_SCALARS):
            if isinstance(event, yaml.AliasEvent) and event.start_mark:
                raise BadFile(f"Line {event.start_mark.line + 1}: write it out; references (*) are not read.")
        loader = _SCALARS(text)
        found = []
        while loader.check_node():
            node = loader.get_node()
            found += [_spot(loader, node, 0)] if node is not None else []
        return [each for each in found if each.value is not None]
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadFile(f"Line {line}: this is no UTF-8.", field="file", line=line) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        why = getattr(error, "problem", None) or "this is no YAML"
        raise BadFile(f"Line {line}: {why}.", field="file", line=line) from None


def _spot(loader: yaml.SafeLoader, node: yaml.Node, depth: int) -> Spot:
    line = node.start_mark.line + 1
    if depth > MAX_DEPTH:
        raise BadFile(f"Line {line}: this is nested too deep.", field="file", line=line)
    if isinstance(node, yaml.SequenceNode):
        return Spot([_spot(loader, each, depth + 1) for each in node.value], line)
    if isinstance(node, yaml.MappingNode):
        return Spot(dict(_fields(loader, node, depth)), line)
    return Spot(loader.construct_object(node, deep=True), line)


def _fields(loader: yaml.SafeLoader, node: yaml.MappingNode, depth: int) -> Iterator[tuple[str, Spot]]:
    seen: set[str] = set()
    for key, value in node.value:
        name = str(key.value)
        if name in seen:
            line = key.start_mark.line + 1
            raise BadFile(f"Line {line}: {name} stands here twice.", field="file", line=line)
        seen.add(name)
        yield name, _spot(loader, value, depth + 1)


# --- The forms ---

Form = Callable[[Spot], "Iterator[Goal]"]


def _form(part: Spot) -> Callable[[Spot], Iterator[Goal] | Iterator[Watch]] | None:
    """How to read it; None for a kind that holds no goal. Raises BadFile for what nobody knows."""
    version, kind = _plain(part, "apiVersion"), _plain(part, "kind")
    if version in ("openslo/v1", "openslo/v1alpha"):
        return (_openslo_v1 if version == "openslo/v1" else _openslo_alpha) if kind == "SLO" else None
    if version == "sloth.slok.dev/v1" and kind == "PrometheusServiceLevel":
        return lambda each: _sloth(each.at("spec"))
    if version.startswith("sre.google.com/") and kind == "ServiceLevelObjective":
        return _slo_generator
    if _plain(part, "version") == "prometheus/v1":
        return _sloth
    if part.get("groups") is not None:
        return _prometheus
    known = "OpenSLO v1 and v1alpha, Sloth, slo-generator and rules of Prometheus"
    raise part.fail(f"this is none of the kinds that are read: {known}.")


def _plain(part: Spot, name: str) -> str:
    found = part.get(name)
    return found.value if found and isinstance(found.value, str) else ""


def _kind(part: Spot) -> str:
    return f"{_plain(part, 'kind')} (line {part.line})"


def _openslo_v1(part: Spot) -> Iterator[Goal]:
    spec = part.at("spec")
    windows = spec.at("timeWindow").each()
    yield from _openslo(part, spec, windows[0].at("duration").text(), "OpenSLO v1")


def _openslo_alpha(part: Spot) -> Iterator[Goal]:
    spec = part.at("spec")
    window = spec.at("timeWindows").each()[0]
    yield from _openslo(
        part, spec, f"{window.at('count').value}{window.at('unit').text()[:1].lower()}", "OpenSLO v1alpha"
    )


def _openslo(part: Spot, spec: Spot, window: str, form: str) -> Iterator[Goal]:
    name = part.at("metadata").at("name").text()
    objectives = spec.at("objectives").each()
    for place, objective in enumerate(objectives, start=1):
        own = _plain(objective, "displayName") or str(place)
        goal = objective.get("targetPercent")
        yield Goal(
            name=name if len(objectives) == 1 else f"{name} {own}",
            service=spec.at("service").text(),
            title=_plain(part.at("metadata"), "displayName") or name,
            description=_plain(spec, "description"),
            share=goal.share(100) if goal else objective.at("target").share(1),
            window=window,
            form=form,
            line=objective.line,
        )


def _sloth(part: Spot) -> Iterator[Goal]:
    for slo in part.at("slos").each():
        slo.at("sli")
        yield Goal(
            name=slo.at("name").text(),
            service=part.at("service").text(),
            title=slo.at("name").text(),
            description=_plain(slo, "description"),
            share=slo.at("objective").share(100),
            window="30d",
            form="Sloth",
            line=slo.line,
        )


def _slo_generator(part: Spot) -> Iterator[Goal]:
    spec, metadata = part.at("spec"), part.at("metadata")
    labels = metadata.get("labels")
    name = metadata.at("name").text()
    spec.at("service_level_indicator")
    yield Goal(
        name=name,
        service=(_plain(labels, "service_name") if labels else "") or name,
        title=_plain(spec, "description") or name,
        description=_plain(spec, "description"),
        share=spec.at("goal").share(1),
        window="30d",
        form="slo-generator",
        line=part.line,
    )


def _prometheus(part: Spot) -> Iterator[Watch]:
    for group in part.at("groups").each():
        group.at("name").text()
        for rule in group.at("rules").each():
            expression = rule.at("expr")
            labels = rule.get("labels")
            if rule.get("record") is None:
                yield Watch(
                    name=rule.at("alert").text(),
                    expression=str(expression.value),
                    hold=_plain(rule, "for"),
                    severity=_plain(labels, "severity") if labels else "",
                    line=rule.line,
                )

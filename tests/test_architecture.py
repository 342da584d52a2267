"""The house rules a machine can check. Each check takes source text, so each is also shown to bite."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache

import pytest

from tests.run import ROOT

#: A module may import its own rank and those below. The longest prefix decides, so majorops.lib is a leaf.
RANKS = {"majorops.lib": 0, "accounts": 1, "teams": 2, "incidents": 3, "kpis": 4, "majorops": 5}
PACKAGES = ("majorops", "accounts", "teams", "incidents", "kpis")

#: Pure rules: time and rows come in as values. Any module whose docstring begins with RULES: is held to it as well.
RULES = {
    "accounts.roles",
    "teams.alarm",
    "incidents.lifecycle",
    "incidents.clock",
    "kpis.formulas",
    "kpis.evaluate",
    "kpis.stats",
    "kpis.evidence",
}
#: What rules may use besides each other.
PURE_HELPERS = {"majorops.lib.errors", "majorops.lib.times", "incidents.errors"}
ENUMS_OF_DJANGO = {"django.db.models.TextChoices", "django.db.models.IntegerChoices"}
IMPURE = ("django", "rest_framework", "psycopg", "sqlite3", *PACKAGES)
CLOCKS = {"now", "utcnow", "today", "localtime", "localdate", "time_ns"}

#: Rows of an incident, and the only module that writes them.
INCIDENT_ROWS = {
    "Incident",
    "TimelineEvent",
    "PhaseEntry",
    "StatusUpdate",
    "Milestone",
    "RoleAssignment",
    "TeamPage",
    "Participant",
    "ExecSummary",
    "ReadReceipt",
    "BriefVisit",
}
WRITER = "incidents.actions"
WRITES = {"save", "create", "bulk_create", "get_or_create", "update", "update_or_create", "bulk_update", "delete"}
WRITES |= {f"a{name}" for name in WRITES}

DANGEROUS_CALLS = {
    "eval": "runs text as code",
    "exec": "runs text as code",
    ".extra": "passes SQL by the ORM",
    ".raw": "passes SQL by the ORM",
}
UNESCAPED = {"mark_safe", "SafeString"}


@dataclass(frozen=True)
class Module:
    """One source file, parsed."""

    name: str
    path: str
    tree: ast.Module
    is_package: bool = False

    @classmethod
    def parse(cls, source: str, name: str, path: str = "planted.py", is_package: bool = False) -> Module:
        return cls(name, path, ast.parse(source, path), is_package)

    def at(self, node: ast.AST, what: str) -> str:
        return f"{self.path}:{getattr(node, 'lineno', 0)}: {what}"


Check = Callable[[Module], Iterator[str]]


def modules(wanted: Callable[[str], bool] = bool) -> Iterator[Module]:
    """Those of our own whose names are wanted; to parse them all takes seconds."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            path = file.relative_to(ROOT)
            parts = path.with_suffix("").parts
            is_package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if is_package else parts)
            if wanted(name):
                yield Module.parse(file.read_text(), name, str(path), is_package)


# --- Imports go down ---


def rank(name: str) -> int | None:
    """The rank of a dotted name, or None for what is not ours."""
    while name:
        if name in RANKS:
            return RANKS[name]
        name = name.rpartition(".")[0]
    return None


def imports(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Every name imported at any depth, in full: `from majorops import lib` gives majorops.lib."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            base = f"{absolute(node, module)}." if isinstance(node, ast.ImportFrom) else ""
            yield from ((node, base + alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and last_name(node.func) in {"import_module", "import_string", "__import__"}:
            yield from ((node, name) for name in texts(node.args[:1]))


def absolute(node: ast.ImportFrom, module: Module) -> str:
    if not node.level:
        return node.module or ""
    package = module.name.split(".")
    keep = len(package) - node.level + module.is_package
    return ".".join([*package[:keep], *([node.module] if node.module else [])])


def upward_imports(module: Module) -> Iterator[str]:
    own = rank(module.name)
    for node, name in imports(module):
        target = rank(name)
        if own is not None and target is not None and target > own:
            yield module.at(node, f"{module.name} imports {name}, which lies above it")


def upward_dependencies(module: Module) -> Iterator[str]:
    """Migrations that wait for one of an app above: what a foreign key by name to that app would cause."""
    own = rank(module.name)
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Assign) or not {"dependencies", "run_before"} & set(map(last_name, node.targets)):
            continue
        for pair in ast.walk(node.value):
            app = next(texts(pair.elts), "") if isinstance(pair, ast.Tuple) else ""
            target = rank(app)
            if own is not None and target is not None and target > own:
                yield module.at(pair, f"{module.name} depends on {app}, which lies above it")


# --- Rules are pure ---


def impurities(module: Module) -> Iterator[str]:
    if not is_rules(module):
        return
    allowed = PURE_HELPERS | marked_rules()
    for node, name in imports(module):
        if name.split(".")[0] in IMPURE and name not in ENUMS_OF_DJANGO and not lies_in(name, allowed):
            yield module.at(node, f"a rules module imports {name}")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and (last_name(node.func) in CLOCKS or ast.unparse(node.func) == "time.time"):
            yield module.at(node, f"a rules module reads the clock: {ast.unparse(node)}")


def is_rules(module: Module) -> bool:
    return lies_in(module.name, RULES) or (ast.get_docstring(module.tree) or "").startswith("RULES:")


@cache
def marked_rules() -> frozenset[str]:
    return frozenset(RULES | {module.name for module in modules() if is_rules(module)})


def lies_in(name: str, packages: Collection[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


# --- One writer ---


def foreign_writes(module: Module) -> Iterator[str]:
    """Writes to rows of an incident outside the writer, as far as names tell."""
    if lies_in(module.name, {WRITER}) or ".migrations" in module.name:
        return
    rows = INCIDENT_ROWS | row_variables(module.tree)
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr in WRITES and rows & set(chain(node.func.value)):
            yield module.at(node, f"{ast.unparse(node.func)}(...) writes a row of an incident; call {WRITER}")


def row_variables(tree: ast.Module) -> set[str]:
    """Names that hold a row or a queryset: by their spelling, their annotation, or what is assigned to them."""
    found = {re.sub(r"(?<!^)(?=[A-Z])", "_", model).lower() for model in INCIDENT_ROWS}
    for node in ast.walk(tree):
        match node:
            case ast.arg(arg=name, annotation=ast.expr() as annotation) if names_a_row(annotation):
                found.add(name)
            case ast.AnnAssign(target=target, annotation=annotation) if names_a_row(annotation):
                found.add(last_name(target))
            case ast.Assign(targets=[target], value=value) if is_row(value):
                found.add(last_name(target))
            case ast.For() | ast.AsyncFor() | ast.comprehension() if is_row(node.iter):
                found.add(last_name(node.target))
    return found - {""}


def names_a_row(annotation: ast.expr) -> bool:
    return bool(INCIDENT_ROWS & set(re.findall(r"\w+", ast.unparse(annotation))))


def is_row(value: ast.expr) -> bool:
    """`Milestone(...)` or `Milestone.objects...`, not `count(Milestone)`."""
    return bool(INCIDENT_ROWS & set(chain(value)))


def chain(node: ast.AST) -> Iterator[str]:
    """The names of `a.b(x).c[0]`: a, b, c. Arguments do not belong to it."""
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            yield node.attr
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        elif isinstance(node, ast.Subscript | ast.Await):
            node = node.value
        else:
            return
    yield node.id


# --- Nothing that opens a door ---


def dangers(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and node.value == "__all__":
            yield module.at(node, "'__all__' lets a column added later out; name the fields")
        elif isinstance(node, ast.Call) and (told := DANGEROUS_CALLS.get(call_name(node))):
            yield module.at(node, f"{call_name(node)}( {told}")
        elif isinstance(node, ast.Attribute) and node.attr in UNESCAPED:
            yield module.at(node, f"{node.attr} switches escaping off")
    for node, name in imports(module):
        if name.split(".")[0] in {"pickle", "marshal", "shelve"}:
            yield module.at(node, f"{name} runs code from data")
        if name.rpartition(".")[2] in UNESCAPED:
            yield module.at(node, f"{name} switches escaping off")


def call_name(node: ast.Call) -> str:
    """`eval` of `eval(x)`, `.raw` of `a.b.raw(x)`."""
    return ("." if isinstance(node.func, ast.Attribute) else "") + last_name(node.func)


def unescaped(template: str) -> Iterator[int]:
    for number, line in enumerate(template.splitlines(), start=1):
        if re.search(r"\|\s*safe(seq)?\b|autoescape\s+off", line):
            yield number


def last_name(node: ast.AST) -> str:
    """`c` of `a.b.c`; empty for what has no name."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def texts(nodes: list[ast.expr]) -> Iterator[str]:
    return (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


# --- The tests ---

CHECKS: list[Check] = [upward_imports, upward_dependencies, impurities, foreign_writes, dangers]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_house_is_clean(check: Check) -> None:
    found = [line for module in modules() for line in check(module)]
    assert not found, "\n" + "\n".join(found)


def test_the_walk_sees_the_whole_house() -> None:
    seen = {module.name for module in modules()}
    assert {*PACKAGES, *RULES, "majorops.lib", WRITER} <= seen
    assert any(".migrations." in name for name in seen)


def test_templates_escape_everything() -> None:
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("templates/**/*.*") if file.is_file()]
    found = [f"{file.relative_to(ROOT)}:{line}" for file in files for line in unescaped(file.read_text())]
    assert not found


def test_rules_need_neither_settings_nor_database() -> None:
    names = ", ".join(module.name for module in modules() if is_rules(module))
    subprocess.run([sys.executable, "-c", f"import {names}"], cwd=ROOT, env={}, check=True)


PLANTED: list[tuple[Check, str, str]] = [
    (upward_imports, "incidents.models", "from kpis.models import Observation"),
    (upward_imports, "incidents.actions", "def f():\n    import kpis.compute"),
    (upward_imports, "accounts.models", "from majorops import settings"),
    (upward_imports, "majorops.lib.ulid", "from accounts.roles import Role"),
    (upward_imports, "teams.migrations.0002_x", "from incidents import lifecycle"),
    (upward_imports, "accounts.api", "from importlib import import_module\nimport_module('teams.models')"),
    (upward_imports, "majorops.lib.rest", "from ..urls import urlpatterns"),
    (upward_dependencies, "teams.migrations.0002_x", "class Migration:\n    dependencies = [('kpis', '0001_initial')]"),
    (impurities, "incidents.lifecycle", "from django.db import models"),
    (impurities, "incidents.lifecycle", "from django.db.models import QuerySet, TextChoices"),
    (impurities, "kpis.stats", "from kpis.models import Observation"),
    (impurities, "kpis.formulas.words", "from kpis.compute import run"),
    (impurities, "incidents.anything", '"""RULES: x."""\nfrom incidents.models import Incident'),
    (impurities, "incidents.clock", "from django.utils import timezone\ntimezone.now()"),
    (impurities, "incidents.clock", "import datetime\nx = datetime.datetime.now(datetime.UTC)"),
    (impurities, "kpis.formulas", "import time\nx = time.time()"),
    (foreign_writes, "incidents.views", "Incident.objects.create(title='x')"),
    (foreign_writes, "incidents.api", "def f(incident):\n    incident.save()"),
    (foreign_writes, "incidents.api", "def f(self):\n    self.incident.save(update_fields=['title'])"),
    (foreign_writes, "kpis.compute", "import incidents\nincidents.models.TeamPage.objects.filter(id=1).update(x=1)"),
    (foreign_writes, "incidents.cli", "row = Milestone(title='x')\nrow.save()"),
    (foreign_writes, "incidents.cli", "for row in PhaseEntry.objects.all():\n    row.delete()"),
    (foreign_writes, "incidents.cli", "def f(row: StatusUpdate | None):\n    row.save()"),
    (foreign_writes, "incidents.cli", "def f(incident):\n    incident.timeline.create(body='x')"),
    (foreign_writes, "incidents.live", "async def f():\n    await Participant.objects.acreate(x=1)"),
    (dangers, "kpis.serializers", "class Meta:\n    fields = '__all__'"),
    (dangers, "kpis.views", "from django.utils.safestring import mark_safe"),
    (dangers, "kpis.views", "from django.utils import safestring\nsafestring.mark_safe(x)"),
    (dangers, "kpis.views", "rows = Kpi.objects.extra(where=['1=1'])"),
    (dangers, "kpis.views", "rows = Kpi.objects.raw('select 1')"),
    (dangers, "kpis.formulas", "eval(text)"),
    (dangers, "kpis.formulas", "exec(text)"),
    (dangers, "kpis.formulas", "import pickle"),
]


@pytest.mark.parametrize(("check", "name", "source"), PLANTED)
def test_a_planted_offence_is_found(check: Check, name: str, source: str) -> None:
    assert [line for line in check(Module.parse(source, name)) if line.startswith("planted.py:")]


HARMLESS: list[tuple[Check, str, str]] = [
    (upward_imports, "kpis.sources.incidents", "from incidents.models import Incident\nfrom majorops.lib import ulid"),
    (upward_imports, "majorops.lib.rest", "from . import ulid"),
    (upward_imports, "majorops.urls", "import kpis.urls"),
    (upward_dependencies, "kpis.migrations.0001_x", "class Migration:\n    dependencies = [('incidents', '0001_x')]"),
    (impurities, "incidents.lifecycle", "from django.db.models import TextChoices\nimport datetime"),
    (impurities, "incidents.clock", "from incidents.lifecycle import Phase\ndef f(now):\n    return now"),
    (impurities, "kpis.compute", "from django.utils import timezone\ntimezone.now()"),
    (foreign_writes, "incidents.actions", "Incident.objects.create(title='x')"),
    (foreign_writes, "incidents.migrations.0002_x", "Incident.objects.update(title='x')"),
    (foreign_writes, "kpis.models", "def save(self):\n    super().save()\nseen = {}\nseen.update(incident=1)"),
    (foreign_writes, "accounts.models", "def f(user):\n    user.save()"),
    (dangers, "kpis.models", "__all__ = ['x']\nlogger.info('x', extra={})\ncursor.execute('x')"),
]


@pytest.mark.parametrize(("check", "name", "source"), HARMLESS)
def test_what_is_allowed_is_not_reported(check: Check, name: str, source: str) -> None:
    assert not list(check(Module.parse(source, name)))


def test_an_unescaped_template_is_found() -> None:
    assert list(unescaped("<p>\n{{ body|safe }}\n{% autoescape off %}")) == [2, 3]
    assert not list(unescaped("{{ body }} is safe, {{ body|linebreaks }}"))

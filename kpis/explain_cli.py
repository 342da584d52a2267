"""`mim kpi explain`: why a number is what it is, on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from kpis.errors import KpiNotFound, NoSuchObservation
from majorops.lib.errors import Invalid

if TYPE_CHECKING:
    from accounts.models import User
    from kpis.explain import Explanation
    from kpis.models import KpiObservation


def explain_one(
    slug: Annotated[str, typer.Argument(help="The KPI, e.g. mttr.")],
    incident: Annotated[str | None, typer.Option("--incident", help="The value of this incident.")] = None,
    observation: Annotated[str | None, typer.Option("--observation", help="This stored value.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout, as the API gives it.")] = False,
) -> None:
    """The rows behind a value: what each adds, what was left out and why. Default: the newest overall figure.

    Example: mim kpi explain mttr
    """
    from django.utils import timezone

    from kpis.explain import explain
    from kpis.reasons import documented
    from kpis.viewing import renewed_all

    found = _found(slug, incident, observation)
    renewed_all([found], timezone.now())
    explanation = explain(found, _operator())
    if as_json:
        typer.echo(json.dumps(documented(explanation), indent=2, default=str))
    else:
        _print(explanation)


def _operator() -> User:
    """Whoever runs commands on the server reads the database anyway; figures of single people stay out."""
    from accounts.models import User
    from accounts.roles import Role

    return User(role=Role.ADMIN)


def _found(slug: str, incident: str | None, observation: str | None) -> KpiObservation:
    from kpis.models import KpiDefinition
    from kpis.viewing import NO_WINDOW, stored_for
    from majorops.lib.ulid import parse_ulid

    if incident and observation:
        raise Invalid("Name an incident or an observation, not both.")
    definition = KpiDefinition.objects.filter(slug=slug).first()
    if definition is None:
        raise KpiNotFound(f'No KPI is called "{slug}". See: mim kpi list')
    rows = stored_for(_operator()).filter(kpi=slug)
    try:
        if observation:
            rows = rows.filter(pk=parse_ulid(observation))
        elif incident:
            rows = rows.filter(incident=parse_ulid(incident), window="", is_current=True)
        else:
            window = ((definition.spec or {}).get("windows") or [NO_WINDOW])[0]
            rows = rows.filter(window=window, dims_key="", is_current=True)
    except ValueError:
        raise Invalid("An id has 26 letters and digits, e.g. 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E.") from None
    found = rows.order_by("-timestamp", "-pk").first()
    if found is None:
        raise NoSuchObservation(f"{slug} has no such value. Compute it first: mim kpi backfill --kpi {slug}")
    return found


def _print(explanation: Explanation) -> None:
    from kpis.reasons import shown

    told, observation = shown(explanation), explanation.observation
    typer.echo(f"{observation.kpi_id} v{explanation.version}  {told.value}  {told.about}  n={observation.n}")
    typer.echo(explanation.words)
    typer.echo(
        f"{observation.evidence}: {' '.join(each['words'] for each in observation.evidence_reasons) or 'no doubt'}"
    )
    for sentence in (explanation.problem, *explanation.changes):
        if sentence:
            typer.echo(f"! {sentence}")
    for row in told.used.rows:
        typer.echo(f"  + {row.adds:>12}  {row.label}")
    for part in told.parts:
        typer.echo(f"  + {part.adds or '':>12}  {part.slug} {part.value} {part.shift}".rstrip())
    if told.sum:
        typer.echo(told.sum)
    for row in told.left_out.rows:
        typer.echo(f"  - {row.reason:<28}  {row.label}")
    for sentence in (*told.used.others, *told.left_out.others):
        typer.echo(f"  {sentence}")

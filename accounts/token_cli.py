"""`mim token`: the tokens of programs, from the server. A new one goes to stdout, alone, and is never shown again."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import timedelta
from typing import Annotated, Any

import typer
from django.db import transaction
from django.utils import timezone

from accounts import audit, tokens
from accounts.models import Integration, ServiceToken
from accounts.scopes import Scope
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.manner import next_step, shown
from majorops.lib.terminal import DryRun, Listing, can_be_tried, listing, taken_back
from majorops.lib.text import clean_text
from majorops.lib.times import iso

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Programs that use the API, and their tokens.")

Name = Annotated[str, typer.Argument(help="Of the integration, e.g. Alertmanager prod.")]
Days = Annotated[int, typer.Option("--days", help=f"How long it lives, at most {tokens.MAX_LIFETIME.days}.")]


class IntegrationNotFound(DomainError):
    """No integration has this name."""

    code = "unknown_integration"
    status = 404


class TokenNotFound(DomainError):
    """No token has this id. See them with: mim token list"""

    code = "unknown_token"
    status = 404


class OtherScopes(DomainError):
    """This integration has other scopes. Change them in admin, or leave --scope out."""

    code = "other_scopes"


@app.command("create")
def create(
    name: Name,
    scope: Annotated[list[Scope] | None, typer.Option("--scope", help="What it may do; repeat for several.")] = None,
    days: Days = 90,
    dry_run: DryRun = False,
) -> None:
    """Makes a token, and the integration if nothing has this name yet. Two tokens may live at once.

    Example: mim token create "Alertmanager prod" --scope alerts:write --scope timeline:write --days 90
    """
    with taken_back() if dry_run else transaction.atomic():
        integration = _integration(name, sorted(set(scope or [])))
        now = timezone.now()
        made, text = tokens.mint(integration, by=None, expires_at=now + _lifetime(days), now=now)
    _show(integration, made, text, dry_run=dry_run)


def _integration(name: str, scopes: list[Scope]) -> Integration:
    known = Integration.objects.filter(name=name).first()
    wanted = [str(scope) for scope in scopes]
    if known is None:
        return _new_integration(name, wanted)
    if wanted and wanted != sorted(known.scopes):
        raise OtherScopes(
            f"{known.name} has the scopes {', '.join(sorted(known.scopes)) or 'none'}. "
            "Change them in admin, or leave --scope out."
        )
    return known


def _new_integration(name: str, scopes: list[str]) -> Integration:
    if not scopes:
        raise IntegrationNotFound(f"{_nobody_called(name)} To make it, say what it may do with --scope.")
    named = clean_text(name, field="name", max_length=80, required=True)
    integration = Integration.objects.create(name=named, scopes=scopes)
    audit.record(audit.Action.INTEGRATION_CHANGE, obj=integration, after=tokens.described(integration))
    return integration


def _nobody_called(name: str) -> str:
    near = difflib.get_close_matches(name, list(Integration.objects.values_list("name", flat=True)))
    return f"No integration is called {name!a}." + (f" Did you mean {' or '.join(near)}?" if near else "")


def _lifetime(days: int) -> timedelta:
    if not 1 <= days <= tokens.MAX_LIFETIME.days:
        raise Invalid(f"--days must be a number from 1 to {tokens.MAX_LIFETIME.days}.", field="days")
    return timedelta(days=days)


def _show(integration: Integration, made: ServiceToken, text: str, *, dry_run: bool) -> None:
    if dry_run:
        scopes = ", ".join(sorted(integration.scopes))
        typer.echo(f"{integration.name} would get a token until {shown(made.expires_at, seconds=False)}: {scopes}")
        typer.echo("Nothing written (--dry-run).", err=True)
        return
    typer.echo(f"Token {made.pk} of {integration.name}, until {made.expires_at:%Y-%m-%d %H:%M} UTC.", err=True)
    typer.echo("Copy it now; it is not shown again. Programs send it as: Authorization: Bearer mo_...", err=True)
    typer.echo(text)


@app.command("list")
@listing
def list_tokens() -> Listing:
    """All integrations by name, each with its tokens, newest first. Secrets are not kept, so none is shown.

    Example: mim token list
    """
    now = timezone.now()
    rows = [_row(token, tokens.state(token, now)) for token in _all_tokens()]
    return Listing(rows, _line, "A new one: mim token create NAME --scope SCOPE")


def _line(row: Mapping[str, Any]) -> str:
    used = f"last used {row['lastUsedAt'] or 'never'}"
    return f"{row['integration']:<30} {row['id']}  {row['state']:<8} until {row['expiresAt']}  {used}"


def _all_tokens() -> list[ServiceToken]:
    return list(ServiceToken.objects.select_related("integration").order_by("integration__name", "-created_at", "pk"))


def _row(token: ServiceToken, state: str) -> dict[str, object]:
    return {
        "id": token.pk,
        "integration": token.integration.name,
        "isActive": token.integration.is_active,
        "scopes": sorted(token.integration.scopes),
        "state": state,
        "createdAt": iso(token.created_at),
        "expiresAt": iso(token.expires_at),
        "lastUsedAt": iso(token.last_used_at),
    }


@app.command("rotate")
def rotate(name: Name, days: Days = 90, dry_run: DryRun = False) -> None:
    """Makes a new token. The newest so far lives on until you revoke it; any older one is revoked now.

    Example: mim token rotate "Alertmanager prod"
    """
    integration = Integration.objects.filter(name=name).first()
    if integration is None:
        raise IntegrationNotFound(_nobody_called(name))
    now = timezone.now()
    with taken_back() if dry_run else nullcontext():
        made, text = tokens.rotate(integration, by=None, expires_at=now + _lifetime(days), now=now)
    _show(integration, made, text, dry_run=dry_run)
    if dry_run:
        return
    for former in integration.tokens.live(now).exclude(pk=made.pk):
        typer.echo(f"Once the program uses it, end the former one: mim token revoke {former.pk}", err=True)


@app.command("revoke")
@can_be_tried
def revoke(token_id: Annotated[str, typer.Argument(help="The part between mo_ and the second _.")]) -> None:
    """Ends a token at once. Doing it again changes nothing.

    Example: mim token revoke 7k2m9qw4x1zc
    """
    token = ServiceToken.objects.select_related("integration").filter(pk=_id_in(token_id)).first()
    if token is None:
        raise TokenNotFound
    was_live = tokens.revoke(token, by=None, now=timezone.now())
    typer.echo(f"Token {token.pk} of {token.integration.name} {'is' if was_live else 'was already'} revoked.")
    next_step("mim token list")


def _id_in(text: str) -> str:
    """People paste `mo_<id>_…` too."""
    return text.removeprefix(tokens.PREFIX).partition("_")[0].replace("\0", "")

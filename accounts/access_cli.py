"""`mim access`: be your own Cloudflare Access on a laptop. Keys and assertions for DEBUG=1 only."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Annotated

import jwt
import typer
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from django.conf import settings

from accounts.assertion import ALGORITHM
from accounts.emails import canonical_email
from majorops.lib.errors import DomainError, Invalid

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Sign-in tokens for a laptop (DEBUG=1).")

KID = "local"
KEY_FILE = "access-key.pem"
KEY_SET_FILE = "jwks.json"


class DebugOnly(DomainError):
    """Local sign-in keys are for DEBUG=1. In production Cloudflare Access makes the keys and the tokens."""

    code = "debug_only"
    status = 403


class NoLocalKey(DomainError):
    """There is no local key yet. Make one: mim access keys DIR, then set ACCESS_JWKS_FILE=DIR/jwks.json"""

    code = "no_local_key"
    status = 404


@app.command("keys")
def make_keys(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the private key and the key set go.")],
) -> None:
    """Makes a local RSA key and its key set. A second call changes nothing.

    Example: mim access keys var/access
    """
    _check_debug()
    path = folder / KEY_FILE
    if path.exists():
        key = _read_key(path)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        key = generate_private_key(public_exponent=65537, key_size=2048)
        _write_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    key_set = folder / KEY_SET_FILE
    key_set.write_text(json.dumps({"keys": [{**public, "kid": KID, "alg": ALGORITHM, "use": "sig"}]}, indent=2) + "\n")
    typer.echo(f"ACCESS_JWKS_FILE={key_set.absolute()}")


@app.command("mint")
def mint(
    email: Annotated[str, typer.Argument(help="Whom the token names.")],
    subject: Annotated[str, typer.Option("--sub", help="The person's id at the identity provider.")] = "",
    minutes: Annotated[int, typer.Option("--minutes", min=1, help="How long it is valid.")] = 60,
    out: Annotated[Path | None, typer.Option("--out", help="Write it to this file instead of stdout.")] = None,
) -> None:
    """Makes an assertion, signed with the key beside ACCESS_JWKS_FILE.

    Example: curl -H "Cf-Access-Jwt-Assertion: $(mim access mint mim@example.com)" localhost:8000/api/v1/users/me
    """
    _check_debug()
    if not (settings.ACCESS_TEAM_DOMAIN and settings.ACCESS_AUD):
        raise Invalid("Set ACCESS_TEAM_DOMAIN and ACCESS_AUD as the server has them; the token names both.")
    address = canonical_email(email)
    now = int(time.time())
    said = {
        "type": "app",
        "iss": settings.ACCESS_TEAM_DOMAIN,
        "aud": [settings.ACCESS_AUD[0]],
        "email": address,
        "sub": subject or f"local|{address}",
        "iat": now,
        "nbf": now,
        "exp": now + minutes * 60,
    }
    token = jwt.encode(said, _local_key(), algorithm=ALGORITHM, headers={"kid": KID})
    if out is None:
        typer.echo(token)
        return
    _write_private(out, token.encode())
    typer.echo(f"{address} for {minutes} minutes: {out}", err=True)


def _check_debug() -> None:
    if not settings.DEBUG:
        raise DebugOnly


def _local_key() -> RSAPrivateKey:
    path = Path(settings.ACCESS_JWKS_FILE).parent / KEY_FILE
    if not settings.ACCESS_JWKS_FILE or not path.exists():
        raise NoLocalKey
    return _read_key(path)


def _read_key(path: Path) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, OSError) as error:
        raise Invalid(f"{path} is not a readable private key ({error}). Delete it to have a new one made.") from None
    if not isinstance(key, RSAPrivateKey):
        raise Invalid(f"{path} is not an RSA key. Delete it to have a new one made.")
    return key


def _write_private(path: Path, content: bytes) -> None:
    """For this user's eyes from the first moment on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)

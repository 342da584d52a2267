"""Unsafe settings do not start; each refusal says what to set."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.run import ROOT

SAFE = {
    "SECRET_KEY": "k" * 60,
    "ALLOWED_HOSTS": "majorops.example.com",
    "MAJOROPS_AUTH_MODE": "proxy",
    "PROXY_SHARED_SECRET": "s" * 48,
    "PROXY_TRUSTED_CIDRS": "10.0.0.0/8",
    "DATABASE_URL": "postgres://majorops@db.internal/majorops?sslmode=verify-full",
}
ACCESS = {
    "MAJOROPS_AUTH_MODE": "access",
    "ACCESS_TEAM_DOMAIN": "https://example.cloudflareaccess.com",
    "ACCESS_AUD": "f0" * 32,
}
DEV = {"DEBUG": "1", "MAJOROPS_AUTH_MODE": "dev", "ALLOWED_HOSTS": "localhost"}


def start(*command: str, **changes: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **SAFE, **changes}
    arguments = [sys.executable, *(command or ("-c", "import majorops.settings"))]
    return subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        ACCESS,
        DEV,
        {"PROXY_TRUSTED_CIDRS": "", "PROXY_UNIX_SOCKET": "1"},
        {"SECURE_SSL_REDIRECT": "0", "TLS_TERMINATED_BY_PROXY": "1"},
        {"SECURE_HSTS_SECONDS": "3600", "ALLOW_SHORT_HSTS": "1"},
        {"DATABASE_URL": "sqlite://:memory:", "ALLOW_SQLITE": "1"},
        {"DATABASE_URL": "postgres://majorops@127.0.0.1/majorops"},
        {"DATABASE_URL": "postgres://majorops@/majorops?host=/run/postgresql"},
        {"CSRF_TRUSTED_ORIGINS": "https://majorops.example.com"},
        {"AUTO_PROVISION": "stakeholder"},
    ],
)
def test_safe_settings_start(changes: dict[str, str]) -> None:
    assert start(**changes).stderr == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAJOROPS_AUTH_MODE", ""),
        ("MAJOROPS_AUTH_MODE", "dev"),
        ("MAJOROPS_AUTH_MODE", "none"),
        ("PROXY_SHARED_SECRET", "short"),
        ("PROXY_TRUSTED_CIDRS", ""),
        ("PROXY_TRUSTED_CIDRS", "0.0.0.0/0"),
        ("PROXY_TRUSTED_CIDRS", "::/0"),
        ("PROXY_TRUSTED_CIDRS", "everywhere"),
        ("PROXY_CLIENT_HEADER", "Forwarded"),
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "django-insecure-" + "k" * 60),
        ("ALLOWED_HOSTS", ""),
        ("ALLOWED_HOSTS", "*"),
        ("SECURE_SSL_REDIRECT", "0"),
        ("SECURE_HSTS_SECONDS", "3600"),
        ("CSRF_TRUSTED_ORIGINS", "http://majorops.example.com"),
        ("CSRF_TRUSTED_ORIGINS", "https://*.example.com"),
        ("DATABASE_URL", "sqlite://:memory:"),
        ("DATABASE_URL", "postgres://majorops@db.internal/majorops"),
        ("DATABASE_URL", "postgres://majorops@db.internal/majorops?sslmode=prefer"),
        ("AUTO_PROVISION", "admin"),
    ],
)
def test_unsafe_settings_do_not(name: str, value: str) -> None:
    refuses(start(**{name: value}), name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACCESS_TEAM_DOMAIN", ""),
        ("ACCESS_TEAM_DOMAIN", "example.cloudflareaccess.com"),
        ("ACCESS_TEAM_DOMAIN", "http://example.cloudflareaccess.com"),
        ("ACCESS_TEAM_DOMAIN", "https://example.cloudflareaccess.com/"),
        ("ACCESS_TEAM_DOMAIN", "https://Example.cloudflareaccess.com"),
        ("ACCESS_TEAM_DOMAIN", "https://me@example.cloudflareaccess.com"),
        ("ACCESS_TEAM_DOMAIN", "https://example.cloudflareaccess.com:8443"),
        ("ACCESS_AUD", ""),
        ("ACCESS_LEEWAY", "3600"),
        ("ACCESS_MAX_LIFETIME", "0"),
    ],
)
def test_unsafe_access_settings_do_not(name: str, value: str) -> None:
    refuses(start(**{**ACCESS, name: value}), name)


def test_a_header_that_anybody_could_write_is_believed_from_nobody() -> None:
    told = {**ACCESS, "PROXY_CLIENT_HEADER": "Cf-Connecting-IP", "PROXY_TRUSTED_CIDRS": ""}
    refuses(start(**told), "PROXY_CLIENT_HEADER")


def refuses(refused: subprocess.CompletedProcess[str], name: str) -> None:
    heading, *lines = refused.stderr.splitlines()
    assert (refused.returncode, heading) == (os.EX_CONFIG, "error: These settings are not safe to start with:")
    assert lines
    assert all(name in line for line in lines)


def test_every_problem_has_its_line() -> None:
    refused = start(SECRET_KEY="", ALLOWED_HOSTS="", MAJOROPS_AUTH_MODE="")
    assert len(refused.stderr.splitlines()) == 1 + 3


@pytest.mark.parametrize(
    "command",
    [
        ("manage.py", "check"),
        ("-m", "uvicorn", "majorops.asgi:application", "--port", "0"),
        ("-c", "import majorops.wsgi"),
        ("-c", "from majorops.cli import main; main()", "user", "list"),
    ],
)
def test_no_door_starts_with_unsafe_settings(command: tuple[str, ...]) -> None:
    refused = start(*command, SECRET_KEY="short")
    assert refused.returncode == os.EX_CONFIG
    assert "SECRET_KEY must be" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_dev_mode_needs_debug_and_loopback_hosts() -> None:
    """Cases 88 and 89 of the identity table."""
    for changes in ({**DEV, "DEBUG": "0"}, {**DEV, "ALLOWED_HOSTS": "*"}):
        assert start(**changes).returncode == os.EX_CONFIG


def test_dev_mode_serves_loopback_hosts_only() -> None:
    refused = start(DEBUG="1", MAJOROPS_AUTH_MODE="dev", ALLOWED_HOSTS="majorops.example.com")
    assert "loopback hosts only" in refused.stderr

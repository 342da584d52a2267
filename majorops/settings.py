"""All settings, from the environment. Production refuses to start half-configured."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import django
import environ
from csp.constants import NONE, SELF
from django.core.management.utils import get_random_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"

env = environ.Env()

DEBUG = env.bool("DEBUG", default=False)
LOOPBACK_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=LOOPBACK_HOSTS if DEBUG else [])


def _development_key() -> str:
    """A random key kept in the ignored var/ folder, so that sessions survive a restart."""
    path = VAR_DIR / "secret-key"
    if not path.exists():
        VAR_DIR.mkdir(exist_ok=True)
        path.write_text(get_random_secret_key())
        path.chmod(0o600)
    return path.read_text()


SECRET_KEY = env.str("SECRET_KEY", default="") or (_development_key() if DEBUG else "")

# --- Identity: who may say who you are (accounts/access.py) ---
#: access | proxy | dev. No default outside DEBUG: an open door must be chosen, never inherited.
MAJOROPS_AUTH_MODE = env.str("MAJOROPS_AUTH_MODE", default="dev" if DEBUG else "")
#: Empty lets every domain in that the proxy lets in. Otherwise the part after the @ must be one of these.
#: Who may read /metrics without a token: networks, e.g. that of Prometheus.
MAJOROPS_METRICS_NETWORKS = env.list("MAJOROPS_METRICS_NETWORKS", default=[])
#: Who gets which report by mail: `weekly-executive:cto@example.com`, comma-separated.
MAJOROPS_REPORT_RECIPIENTS = env.list("MAJOROPS_REPORT_RECIPIENTS", default=[])
ALLOWED_EMAIL_DOMAINS = [domain.lower() for domain in env.list("ALLOWED_EMAIL_DOMAINS", default=[])]
#: off | stakeholder: whether somebody unknown with a proven identity is added. Never with more than that role.
AUTO_PROVISION = env.str("AUTO_PROVISION", default="off")

ACCESS_TEAM_DOMAIN = env.str("ACCESS_TEAM_DOMAIN", default="")
ACCESS_AUD = env.list("ACCESS_AUD", default=[])
ACCESS_JWKS_FILE = env.str("ACCESS_JWKS_FILE", default="")
#: Seconds. How long the last good keys count while the team's address does not answer.
ACCESS_JWKS_MAX_STALE = env.int("ACCESS_JWKS_MAX_STALE", default=24 * 60 * 60)
ACCESS_MAX_LIFETIME = env.int("ACCESS_MAX_LIFETIME", default=30 * 24 * 60 * 60)
ACCESS_LEEWAY = env.int("ACCESS_LEEWAY", default=30)
ACCESS_GROUPS_CLAIM = env.str("ACCESS_GROUPS_CLAIM", default="custom.groups")

PROXY_EMAIL_HEADER = env.str("PROXY_EMAIL_HEADER", default="Cf-Access-Authenticated-User-Email")
PROXY_SECRET_HEADER = env.str("PROXY_SECRET_HEADER", default="X-MajorOps-Proxy-Secret")
PROXY_SHARED_SECRET = env.str("PROXY_SHARED_SECRET", default="")
PROXY_TRUSTED_CIDRS = env.list("PROXY_TRUSTED_CIDRS", default=[])
#: The server listens on a unix socket: a peer without an address is the proxy.
PROXY_UNIX_SOCKET = env.bool("PROXY_UNIX_SOCKET", default=False)
#: Where the proxy says whom it speaks for (accounts/peers.py). Empty: who connects is who asks.
PROXY_CLIENT_HEADER = env.str("PROXY_CLIENT_HEADER", default="")

#: Where signing out leads: a path of this site, or https. It is fixed; no request can name another.
_LOGOUT_URLS = {"access": "/cdn-cgi/access/logout", "dev": "/who"}
LOGOUT_URL = env.str("LOGOUT_URL", default=_LOGOUT_URLS.get(MAJOROPS_AUTH_MODE, "/"))

# --- How much one sender may ask (accounts/throttle.py) ---
MAJOROPS_TOKEN_REQUESTS_PER_MINUTE = env.int("MAJOROPS_TOKEN_REQUESTS_PER_MINUTE", default=600)
MAJOROPS_TOKEN_FAILURES_PER_MINUTE = env.int("MAJOROPS_TOKEN_FAILURES_PER_MINUTE", default=30)
MAJOROPS_PERSON_WRITES_PER_MINUTE = env.int("MAJOROPS_PERSON_WRITES_PER_MINUTE", default=300)

#: For how long a request that is sent again under its Idempotency-Key is known (accounts/idempotency.py).
MAJOROPS_IDEMPOTENCY_HOURS = env.int("MAJOROPS_IDEMPOTENCY_HOURS", default=24)

# --- What leaves the house (incidents/outbox.py) ---
#: Off: a page is recorded, and people are called by other means.
MAJOROPS_SEND_PAGES = env.bool("MAJOROPS_SEND_PAGES", default=False)
#: Lets addresses of teams lead into private networks and to this machine.
MAJOROPS_PAGES_TO_PRIVATE = env.bool("MAJOROPS_PAGES_TO_PRIVATE", default=False)
#: A thread of the server sends; otherwise `mim pages deliver --watch` does.
MAJOROPS_DELIVER_IN_PROCESS = env.bool("MAJOROPS_DELIVER_IN_PROCESS", default=DEBUG)
#: Where this site is found from outside, for links in pages. Empty: pages carry no such link.
MAJOROPS_PUBLIC_URL = env.str("MAJOROPS_PUBLIC_URL", default="")

#: Where e-mail goes, e.g. smtp+tls://user:password@mail.example.com:587. Empty: none is sent. On a laptop: files.
EMAIL_URL = env.str("EMAIL_URL", default=f"filemail://{VAR_DIR / 'mail'}" if DEBUG else "")
MAJOROPS_SEND_MAIL = bool(EMAIL_URL)
if EMAIL_URL:
    vars().update(env.email_url_config(EMAIL_URL))
#: Seconds that a mail server may take.
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="MajorOps <majorops@localhost>")

# --- The anonymous status page (incidents/status_page.py) ---
#: Off: there is no such page, whatever incidents say of themselves.
MAJOROPS_STATUS_PAGE = env.bool("MAJOROPS_STATUS_PAGE", default=False)
#: Whose status it is, in its title.
MAJOROPS_STATUS_NAME = env.str("MAJOROPS_STATUS_NAME", default="MajorOps")
#: Where its last snapshot is kept. Processes of one machine share it.
MAJOROPS_STATUS_FOLDER = env.str("MAJOROPS_STATUS_FOLDER", default=str(VAR_DIR / "status"))
#: Requests from one address that one process answers; 0 for no limit.
MAJOROPS_STATUS_REQUESTS_PER_MINUTE = env.int("MAJOROPS_STATUS_REQUESTS_PER_MINUTE", default=1200)

# --- A language model that drafts executive summaries (incidents/drafter.py). Off: rules draft them ---
MAJOROPS_DRAFTER_URL = env.str("MAJOROPS_DRAFTER_URL", default="")
MAJOROPS_DRAFTER_TOKEN = env.str("MAJOROPS_DRAFTER_TOKEN", default="")
#: Seconds for the whole exchange; then the rules draft.
MAJOROPS_DRAFTER_TIMEOUT = env.float("MAJOROPS_DRAFTER_TIMEOUT", default=8.0)
MAJOROPS_DRAFTER_TO_PRIVATE = env.bool("MAJOROPS_DRAFTER_TO_PRIVATE", default=False)

# --- After an incident (incidents/review.py, survey.py, links.py) ---
#: A learning review is due so long after the incident was resolved.
MAJOROPS_REVIEW_HOURS = env.int("MAJOROPS_REVIEW_HOURS", default=72)
#: For how long people are asked how well they were informed. 0: nobody is asked.
MAJOROPS_SURVEY_DAYS = env.int("MAJOROPS_SURVEY_DAYS", default=7)
#: Trouble within this time of the resolution is the same incident; later it is a new one, linked to it.
MAJOROPS_REOPEN_HOURS = env.int("MAJOROPS_REOPEN_HOURS", default=24)

# --- Applications ---
INSTALLED_APPS = [
    "majorops.apps.MajorOpsConfig",
    "majorops.apps.MajorOpsAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
    "csp",
    *(["django_tasks"] if django.VERSION < (6, 0) else []),
    "django_tasks_db",
    "accounts",
    "teams",
    "incidents",
    "kpis",
]

MIDDLEWARE = [
    "majorops.middleware.RequestId",
    "majorops.measuring.MeasureRequests",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "majorops.middleware.ContentSecurityPolicy",
    "majorops.middleware.NotAllowed",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "accounts.throttle.Throttle",
    "accounts.middleware.AccessIdentity",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "accounts.idempotency.Idempotency",
]

ROOT_URLCONF = "majorops.urls"
ASGI_APPLICATION = "majorops.asgi.application"
WSGI_APPLICATION = "majorops.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "majorops.context.chrome",
            ],
        },
    }
]

# The admin wants Django's own session login; accounts.middleware sets request.user instead. SQLite ignores the columns
# that PostgreSQL keeps in the covering index of dispatch times.
SILENCED_SYSTEM_CHECKS = ["admin.E408", "models.W040"]
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.RoleBackend"]
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

# --- Database ---
ALLOW_SQLITE = env.bool("ALLOW_SQLITE", default=False)
DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'majorops.sqlite3'}")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A deferred transaction that reads, then writes, fails with "database is locked" under a second
    # writer; the busy timeout does not help it. Immediate ones queue. Without recursive_triggers,
    # INSERT OR REPLACE passes a delete trigger by.
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        transaction_mode="IMMEDIATE",
        timeout=20,
        init_command="PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; "
        "PRAGMA foreign_keys=ON; PRAGMA recursive_triggers=ON;",
    )
else:
    DATABASES["default"].update(CONN_MAX_AGE=60, CONN_HEALTH_CHECKS=True)
    # Without it a request waits two minutes for a machine that is gone.
    DATABASES["default"].setdefault("OPTIONS", {}).setdefault("connect_timeout", 5)
    # Hot reads are prepared on each connection (majorops/lib/prepared.py); a pooler may not keep that apart.
    MAJOROPS_PREPARED_STATEMENTS = env.bool("MAJOROPS_PREPARED_STATEMENTS", default=True)
    DATABASES["default"]["OPTIONS"].setdefault("prepare_threshold", 0 if MAJOROPS_PREPARED_STATEMENTS else None)

# --- Time ---
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"
USE_I18N = False
# Admin pages: to the second, and with the zone said.
DATETIME_FORMAT = "j M Y H:i:s e"
#: Days and weeks of reports and KPI windows begin at midnight in this zone.
MAJOROPS_REPORTING_ZONE = env.str("MAJOROPS_REPORTING_ZONE", default="UTC")
#: How many days `mim kpi nightly` computes anew: rows may come that late.
MAJOROPS_NIGHTLY_DAYS = env.int("MAJOROPS_NIGHTLY_DAYS", default=7)
#: Older dispatches are in no figure and no list of a single person (kpis/personal.py).
MAJOROPS_PERSONAL_DAYS = env.int("MAJOROPS_PERSONAL_DAYS", default=365)
#: How often a source of KPIs should have a new row, e.g. team_pages=P7D. A figure of twice that age is stale.
MAJOROPS_EXPECTED_EVERY = env.dict("MAJOROPS_EXPECTED_EVERY", default={})

# --- Facts (kpis/facts/) ---
#: refuse | park: what happens to an event of a kind that nobody defined.
MAJOROPS_UNKNOWN_FACTS = env.str("MAJOROPS_UNKNOWN_FACTS", default="refuse")
#: Makes the aliases of people in facts. Empty: SECRET_KEY does; then a new one gives everybody a new alias.
MAJOROPS_ALIAS_KEY = env.str("MAJOROPS_ALIAS_KEY", default="")
#: Secrets of the webhooks that facts are made of, e.g. github=...,chatwoot=...
MAJOROPS_WEBHOOK_SECRETS = env.dict("MAJOROPS_WEBHOOK_SECRETS", default={})

# --- Measuring ourselves and others (majorops/measuring.py, kpis/health.py) ---
#: How our own requests went, as facts: a fair sample of each hour.
MAJOROPS_MEASURE_REQUESTS = env.bool("MAJOROPS_MEASURE_REQUESTS", default=False)
#: Where servers leave the sample of an hour, for the worker to take up. All processes of one machine share it.
MAJOROPS_MEASURE_FOLDER = env.str("MAJOROPS_MEASURE_FOLDER", default=str(VAR_DIR / "requests"))
MAJOROPS_MEASURE_PER_HOUR = env.int("MAJOROPS_MEASURE_PER_HOUR", default=200)
#: Services that are asked whether they are well, e.g. api:core=https://api.example.com/health
MAJOROPS_HEALTH_CHECKS = env.list("MAJOROPS_HEALTH_CHECKS", default=[])

# --- The operator control centre (kpis/packs/sessions.py) ---
#: Each visit of its pages is a fact, once the pack is installed.
MAJOROPS_SESSION_FACTS = env.bool("MAJOROPS_SESSION_FACTS", default=True)
#: The shop that those visits are of. Empty: the name of the host that was asked.
MAJOROPS_SHOP_DOMAIN = env.str("MAJOROPS_SHOP_DOMAIN", default="")

# --- Background work (majorops/worker.py) ---
#: What carries tasks out: database, immediate (at once, where they are queued), or the dotted path of another engine.
MAJOROPS_TASKS_BACKEND = env.str("MAJOROPS_TASKS_BACKEND", default="database")
_ENGINES = {
    "database": "django_tasks_db.DatabaseBackend",
    "immediate": f"django{'_' if django.VERSION < (6, 0) else '.'}tasks.backends.immediate.ImmediateBackend",
}
TASKS = {"default": {"BACKEND": _ENGINES.get(MAJOROPS_TASKS_BACKEND, MAJOROPS_TASKS_BACKEND)}}

# --- Static files ---
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "var" / "static"
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_AUTOREFRESH = DEBUG
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# --- Browser security ---
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        # Chromium also asks where a form's answer redirects to.
        "form-action": [SELF, *re.findall("^https://[^/]+", LOGOUT_URL)],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 60 * 60
CSRF_FAILURE_VIEW = "majorops.views.csrf_failure"
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
if not DEBUG:
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-session", "__Host-csrf"
    SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=365 * 24 * 60 * 60)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True
    SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=True)
    ALLOW_SHORT_HSTS = env.bool("ALLOW_SHORT_HSTS", default=False)
    TLS_TERMINATED_BY_PROXY = env.bool("TLS_TERMINATED_BY_PROXY", default=False)
    if TLS_TERMINATED_BY_PROXY:
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# --- API ---
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.IdentityAuthentication"],
    # Deny by default: a view that does not say who may use it serves nobody.
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.Nobody"],
    "DEFAULT_RENDERER_CLASSES": ["majorops.lib.rest.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["majorops.lib.rest.JSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "majorops.lib.rest.Negotiation",
    "DEFAULT_THROTTLE_CLASSES": ["majorops.lib.rest.KnownParameters"],
    "DEFAULT_PAGINATION_CLASS": "majorops.lib.paging.NewestFirst",
    "DEFAULT_SCHEMA_CLASS": "majorops.lib.refusals.ProblemSchema",
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "majorops.lib.rest.problem_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "MajorOps",
    "DESCRIPTION": "Major incidents and the KPIs that follow from them.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "ENUM_NAME_OVERRIDES": {
        "Severity": ["Critical", "High", "Medium", "Low"],
        "IncidentKind": ["real", "drill", "test", "backfilled"],
        "EventType": ["phase", "update", "command", "alert", "action"],
        "ReviewState": ["draft", "in_review", "published"],
        "IncidentStatus": ["Active", "Monitoring", "Resolved"],
        "AlarmLevel": ["box3", "box2", "box1"],
        "CreditStatus": ["rated", "provisional", "unrated"],
        "UpdateVisibility": ["public", "internal"],
        "KpiVisibility": ["internal", "exec"],
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "majorops.lib.refusals.with_refusals",
    ],
    "SERVE_PERMISSIONS": ["accounts.permissions.SignedIn"],
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# --- Logging ---
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="INFO")},
}


def _unsafe() -> list[str]:
    """What makes these settings unfit to serve people, one line each."""
    modes = {"access": _unsafe_access, "proxy": _unsafe_proxy, "dev": _unsafe_dev}
    if MAJOROPS_AUTH_MODE in modes:
        problems = modes[MAJOROPS_AUTH_MODE]()
    else:
        problems = ["MAJOROPS_AUTH_MODE must be set to access or proxy (or, with DEBUG=1 on a laptop, dev)."]
    if AUTO_PROVISION not in ("off", "stakeholder"):
        problems.append("AUTO_PROVISION must be off or stakeholder.")
    if MAJOROPS_UNKNOWN_FACTS not in ("refuse", "park"):
        problems.append("MAJOROPS_UNKNOWN_FACTS must be refuse or park.")
    if short := [name for name, secret in MAJOROPS_WEBHOOK_SECRETS.items() if len(secret) < 16]:
        problems.append(f"MAJOROPS_WEBHOOK_SECRETS: the secret of {short[0]} needs at least 16 characters.")
    if MAJOROPS_MEASURE_PER_HOUR < 1:
        problems.append("MAJOROPS_MEASURE_PER_HOUR must be at least 1.")
    problems += _unsafe_peers() + _unsafe_logout()
    if not DEBUG:
        problems += _unsafe_site() + _unsafe_transport() + _unsafe_database()
    return problems


def _unsafe_access() -> list[str]:
    problems = []
    if not re.fullmatch(r"https://[a-z0-9-]+(\.[a-z0-9-]+)+", ACCESS_TEAM_DOMAIN):
        problems.append(
            "MAJOROPS_AUTH_MODE=access needs ACCESS_TEAM_DOMAIN, https and a host in lower case and nothing else: "
            "https://your-team.cloudflareaccess.com"
        )
    if not ACCESS_AUD or not all(ACCESS_AUD):
        problems.append("MAJOROPS_AUTH_MODE=access needs ACCESS_AUD, the Application Audience tag of the application.")
    if not 0 <= ACCESS_LEEWAY <= 300:
        problems.append("ACCESS_LEEWAY is a difference between clocks: 0 to 300 seconds.")
    if ACCESS_MAX_LIFETIME <= 0 or ACCESS_JWKS_MAX_STALE < 0:
        problems.append("ACCESS_MAX_LIFETIME and ACCESS_JWKS_MAX_STALE are seconds, above zero.")
    if find_spec("cryptography") is None:
        problems.append("MAJOROPS_AUTH_MODE=access needs the package cryptography: make install.")
    return problems


def _unsafe_proxy() -> list[str]:
    problems = []
    if len(PROXY_SHARED_SECRET) < 32:
        problems.append("MAJOROPS_AUTH_MODE=proxy needs PROXY_SHARED_SECRET of at least 32 characters.")
    if not PROXY_TRUSTED_CIDRS and not PROXY_UNIX_SOCKET:
        problems.append(
            "MAJOROPS_AUTH_MODE=proxy needs PROXY_TRUSTED_CIDRS, the addresses your proxy connects from, "
            "or PROXY_UNIX_SOCKET=1."
        )
    return problems


def _unsafe_peers() -> list[str]:
    """Whose word counts for where a request comes from."""
    problems = []
    for cidr in PROXY_TRUSTED_CIDRS:
        try:
            if ipaddress.ip_network(cidr).prefixlen == 0:
                problems.append(f"PROXY_TRUSTED_CIDRS must not trust everyone: {cidr}.")
        except ValueError as error:
            problems.append(f"PROXY_TRUSTED_CIDRS: {error}.")
    if PROXY_CLIENT_HEADER and not PROXY_TRUSTED_CIDRS and not PROXY_UNIX_SOCKET:
        problems.append("PROXY_CLIENT_HEADER is believed from your proxies only: set PROXY_TRUSTED_CIDRS.")
    if not re.fullmatch(r"[A-Za-z0-9-]*", PROXY_CLIENT_HEADER) or PROXY_CLIENT_HEADER.lower() == "forwarded":
        problems.append("PROXY_CLIENT_HEADER is a header with addresses, such as X-Forwarded-For or Cf-Connecting-IP.")
    return problems


def _unsafe_dev() -> list[str]:
    problems = []
    if not DEBUG:
        problems.append("MAJOROPS_AUTH_MODE=dev lets anyone be anyone. It needs DEBUG=1 and loopback hosts.")
    if not set(ALLOWED_HOSTS) <= {*LOOPBACK_HOSTS, "::1"}:
        problems.append(f"MAJOROPS_AUTH_MODE=dev serves loopback hosts only; ALLOWED_HOSTS is {ALLOWED_HOSTS}.")
    return problems


def _unsafe_logout() -> list[str]:
    if re.fullmatch(r"/([^/\\].*)?|https://[A-Za-z0-9.-]+(:\d+)?(/.*)?", LOGOUT_URL):
        return []
    return ["LOGOUT_URL is a path of this site such as /cdn-cgi/access/logout, or an https address."]


def _unsafe_site() -> list[str]:
    problems = []
    if len(SECRET_KEY) < 50 or SECRET_KEY.startswith("django-insecure"):
        problems.append("SECRET_KEY must be a random text of at least 50 characters.")
    if not ALLOWED_HOSTS or "*" in ALLOWED_HOSTS:
        problems.append("ALLOWED_HOSTS must name the hosts this site answers to, without *.")
    for origin in CSRF_TRUSTED_ORIGINS:
        if "*" in origin or not origin.startswith("https://"):
            problems.append(f"CSRF_TRUSTED_ORIGINS must be https origins without *; it has {origin}.")
    return problems


def _unsafe_transport() -> list[str]:
    problems = []
    if not SECURE_SSL_REDIRECT and not TLS_TERMINATED_BY_PROXY:
        problems.append("SECURE_SSL_REDIRECT may be off only where the proxy speaks https: TLS_TERMINATED_BY_PROXY=1.")
    if SECURE_HSTS_SECONDS < 365 * 24 * 60 * 60 and not ALLOW_SHORT_HSTS:
        problems.append("SECURE_HSTS_SECONDS must be at least a year; for a trial of https set ALLOW_SHORT_HSTS=1.")
    return problems


def _unsafe_database() -> list[str]:
    database = DATABASES["default"]
    if database["ENGINE"] == "django.db.backends.sqlite3":
        told = "DATABASE_URL is SQLite: one process, one machine. If that is what you want, set ALLOW_SQLITE=1."
        return [] if ALLOW_SQLITE else [told]
    options = database.get("OPTIONS", {})
    host = options.get("host") or database.get("HOST", "")
    is_near = not host or host.startswith(("/", "127.")) or host in ("localhost", "::1")
    if is_near or options.get("sslmode") in ("require", "verify-ca", "verify-full"):
        return []
    return [f"DATABASE_URL reaches {host} over the network without TLS: add ?sslmode=verify-full (or require)."]


if _problems := _unsafe():
    # Not an exception: Django, uvicorn and mim would each show another traceback around the lines to read.
    print("error: These settings are not safe to start with:", *_problems, sep="\n  ", file=sys.stderr)
    sys.exit(os.EX_CONFIG)

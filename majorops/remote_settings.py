"""Settings of `mim` far from the server: the code, and no database to touch by mistake."""

from __future__ import annotations

import os

from django.core.management.utils import get_random_secret_key

# Nothing is served with these: what makes a server unsafe is no harm here.
os.environ |= {"DEBUG": "1", "MAJOROPS_AUTH_MODE": "dev", "SECRET_KEY": get_random_secret_key()}
os.environ |= {"ALLOWED_HOSTS": "localhost", "LOGOUT_URL": "/", "DATABASE_URL": "sqlite://:memory:"}

from majorops.settings import *  # noqa: F403

DATABASES = {"default": {"ENGINE": "django.db.backends.dummy"}}

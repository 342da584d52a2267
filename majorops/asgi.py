"""The ASGI application: Django, and the event streams beside it."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "majorops.settings")
django.setup(set_prefix=False)

# Django has to be set up before anything of ours may be imported.
from django.urls import get_resolver  # noqa: E402

from majorops.handler import Handler  # noqa: E402
from majorops.stream import Streams  # noqa: E402

# Every page is imported now, or whoever comes first after a restart waits for all of them.
get_resolver().url_patterns  # noqa: B018

application = Streams(Handler())

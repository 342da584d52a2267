"""The ASGI application: Django, and the event streams beside it."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "majorops.settings")
django.setup(set_prefix=False)

# Django has to be set up before anything of ours may be imported.
from majorops.handler import Handler  # noqa: E402
from majorops.stream import Streams  # noqa: E402

application = Streams(Handler())

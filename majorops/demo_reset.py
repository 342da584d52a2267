"""Begins the demo anew: every table is dropped and built again, for from a ledger no row can be taken."""

from __future__ import annotations

from datetime import datetime

from django.core.management import call_command
from django.db import connection, transaction

from accounts.models import User
from incidents.models import Incident
from majorops.demo import PEOPLE, load
from majorops.lib.errors import DomainError

MIGRATIONS = "django_migrations"


class NotTheDemo(DomainError):
    """This database holds the work of other people than those of the demo."""

    code = "not_the_demo"


def check_is_demo() -> str:
    """What would be lost. Raises NotTheDemo where anybody but the cast of the demo has a role."""
    cast = [email for email, _, _ in PEOPLE]
    others = User.objects.exclude(email__in=cast).exclude(role="").order_by("email").values_list("email", flat=True)
    if others:
        named = ", ".join(others[:3]) + (" and others" if len(others) > 3 else "")
        raise NotTheDemo(
            f"{named} work{'s' if len(others) == 1 else ''} here, so this is more than the demo and is not taken away. "
            "For a demo, name another database in DATABASE_URL, then: python manage.py migrate; mim demo load"
        )
    return f"All {Incident.objects.count()} incidents of {connection.settings_dict['NAME']} are taken away for good."


def reset(now: datetime) -> str:
    """An empty database, and the demo in it. One sentence says what was done. Raises NotTheDemo."""
    check_is_demo()
    with connection.constraint_checks_disabled(), transaction.atomic(), connection.cursor() as cursor:
        for table in _tables():
            all_of_it = " CASCADE" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TABLE {connection.ops.quote_name(table)}{all_of_it}")
    call_command("migrate", verbosity=0, interactive=False)
    return load(now)


def _tables() -> list[str]:
    """Ours, and those of the libraries that we installed; no others that share the database."""
    ours = {*connection.introspection.django_table_names(only_existing=True), MIGRATIONS}
    return sorted(ours & set(connection.introspection.table_names()))

"""Wires the KPI engine to the incidents: they do not know it, it listens."""

from __future__ import annotations

import logging
from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils import timezone

log = logging.getLogger(__name__)


class KpisConfig(AppConfig):
    name = "kpis"
    verbose_name = "KPIs"

    def ready(self) -> None:
        from incidents.live import also_shown
        from incidents.signals import recorded
        from kpis import afterwards, executive_figures, team_column
        from kpis.viewing import newest_about

        afterwards.register()
        team_column.register()
        executive_figures.register()
        also_shown["figures"] = newest_about
        recorded.connect(on_recorded, dispatch_uid="kpis.on_recorded")
        post_migrate.connect(on_migrated, sender=self, dispatch_uid="kpis.on_migrated")


def on_recorded(sender: Any, incident_id: str, **kwargs: Any) -> None:
    """An incident changed: its observations follow, and what all teams are compared by."""
    from kpis.compute import recompute_incident
    from kpis.histograms import follow

    recompute_incident(incident_id, now=timezone.now())
    follow(incident_id)


def on_migrated(sender: AppConfig, using: str, **kwargs: Any) -> None:
    """Built-in definitions come with the schema, once it is complete; a flush in tests brings them back."""
    from django.db import connections
    from django.db.migrations.executor import MigrationExecutor

    from kpis.alerts import actions
    from kpis.definitions import create_missing
    from kpis.facts import kinds, subjects

    executor = MigrationExecutor(connections[using])
    if executor.migration_plan(executor.loader.graph.leaf_nodes("kpis")):
        return
    # Whoever migrates without a word, as `make run` does, is told nothing.
    level = logging.INFO if kwargs.get("verbosity", 1) else logging.DEBUG
    if declared := [*subjects.declare_missing(), *kinds.create_missing(timezone.now())]:
        log.log(level, "Declared kinds of facts and subjects: %s", ", ".join(declared))
    actions.install_missing(timezone.now())
    if created := create_missing(timezone.now()):
        log.log(level, "Created KPI definitions: %s", ", ".join(created))

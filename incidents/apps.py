from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class IncidentsConfig(AppConfig):
    name = "incidents"

    def ready(self) -> None:
        from incidents import sending, status_snapshot, team_facts
        from incidents.live import also_shown
        from incidents.signals import recorded

        also_shown["sending"] = sending.mark_of_incident
        team_facts.register()
        post_migrate.connect(on_migrated, sender=self, dispatch_uid="incidents.on_migrated")
        recorded.connect(status_snapshot.on_recorded, dispatch_uid="incidents.status_snapshot")


def on_migrated(sender: AppConfig, using: str, **kwargs: Any) -> None:
    """The texts to begin with come with the schema, once it is complete; a flush in tests brings them back."""
    from django.db import connections
    from django.db.migrations.executor import MigrationExecutor

    from incidents.actions.drafts import install_texts
    from incidents.actions.reviews import install_template

    executor = MigrationExecutor(connections[using])
    if not executor.migration_plan(executor.loader.graph.leaf_nodes("incidents")):
        install_texts()
        install_template()

from django.apps import AppConfig


class IncidentsConfig(AppConfig):
    name = "incidents"

    def ready(self) -> None:
        from incidents import sending, team_facts
        from incidents.live import also_shown

        also_shown["sending"] = sending.mark_of_incident
        team_facts.register()

from django.urls import path

from incidents import status_json

urlpatterns = [
    path("status.json", status_json.status),
    path("summary.json", status_json.summary),
    path("components.json", status_json.components),
    path("incidents.json", status_json.incidents),
    path("incidents/unresolved.json", status_json.unresolved),
    path("scheduled-maintenances.json", status_json.maintenances),
    path("scheduled-maintenances/active.json", status_json.maintenances),
    path("scheduled-maintenances/upcoming.json", status_json.maintenances),
    path("<path:rest>", status_json.nothing),
]

from django.urls import path

from incidents import declare_page, list_page, live_page, log_page, views

app_name = "incidents"

urlpatterns = [
    path("", list_page.incident_list, name="list"),
    path("list.csv", list_page.as_csv, name="list-csv"),
    path("new", declare_page.declare, name="new"),
    path("<ulid:incident_id>/", views.detail, name="detail"),
    path("<ulid:incident_id>/log", log_page.log, name="log"),
    path("<ulid:incident_id>/log/<ulid:entry_id>", log_page.entry, name="entry"),
    path("<ulid:incident_id>/log.csv", log_page.as_csv, name="log-csv"),
    path("<ulid:incident_id>/log.md", log_page.as_markdown, name="log-md"),
    path("<ulid:incident_id>/log.json", log_page.as_json, name="log-json"),
    path("<ulid:incident_id>/live", live_page.blocks, name="live"),
    path("<ulid:incident_id>/post", views.post, name="post"),
    path("<ulid:incident_id>/update", views.update, name="update"),
    path("<ulid:incident_id>/milestone", views.milestone, name="milestone"),
    path("<ulid:incident_id>/correct/<ulid:entry_id>", views.correct, name="correct"),
    path("<ulid:incident_id>/promise", views.promise, name="promise"),
    path("<ulid:incident_id>/field", views.field, name="field"),
    path("<ulid:incident_id>/undo/<ulid:entry_id>", views.undo, name="undo"),
    path("<ulid:incident_id>/takeover", views.takeover, name="takeover"),
    path("<ulid:incident_id>/advance", views.advance, name="advance"),
    path("<ulid:incident_id>/status", views.status, name="status"),
    path("<ulid:incident_id>/page", views.page, name="page"),
    path("<ulid:incident_id>/pages/<ulid:page_id>/acknowledge", views.acknowledge, name="acknowledge"),
    path("<ulid:incident_id>/pages/<ulid:page_id>/arrive", views.arrive, name="arrive"),
    path("<ulid:incident_id>/pages/<ulid:page_id>/stand-down", views.stand_down, name="stand_down"),
    path("<ulid:incident_id>/role", views.role, name="role"),
    path("<ulid:incident_id>/edit", views.edit, name="edit"),
    path("<ulid:incident_id>/resolve", views.resolve, name="resolve"),
    path("<ulid:incident_id>/reopen", views.reopen, name="reopen"),
]

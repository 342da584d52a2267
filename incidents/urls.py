from django.urls import path

from incidents import views

app_name = "incidents"

urlpatterns = [
    path("", views.incident_list, name="list"),
    path("new", views.declare, name="new"),
    path("<ulid:incident_id>/", views.detail, name="detail"),
    path("<ulid:incident_id>/log", views.log, name="log"),
    path("<ulid:incident_id>/post", views.post, name="post"),
    path("<ulid:incident_id>/update", views.update, name="update"),
    path("<ulid:incident_id>/milestone", views.milestone, name="milestone"),
    path("<ulid:incident_id>/correct/<ulid:entry_id>", views.correct, name="correct"),
    path("<ulid:incident_id>/advance", views.advance, name="advance"),
    path("<ulid:incident_id>/status", views.status, name="status"),
    path("<ulid:incident_id>/page", views.page, name="page"),
    path("<ulid:incident_id>/pages/<ulid:page_id>/acknowledge", views.acknowledge, name="acknowledge"),
    path("<ulid:incident_id>/pages/<ulid:page_id>/arrive", views.arrive, name="arrive"),
    path("<ulid:incident_id>/role", views.role, name="role"),
    path("<ulid:incident_id>/edit", views.edit, name="edit"),
    path("<ulid:incident_id>/resolve", views.resolve, name="resolve"),
    path("<ulid:incident_id>/reopen", views.reopen, name="reopen"),
]

"""Short addresses, for the text of a page: `/r/<id>`."""

from django.urls import path

from incidents import responder_page

app_name = "responder"

urlpatterns = [
    path("<ulid:incident_id>", responder_page.responder, name="page"),
    path("<ulid:incident_id>/here", responder_page.here, name="join"),
    path("<ulid:incident_id>/here/<ulid:page_id>", responder_page.here, name="here"),
    path("<ulid:incident_id>/coming/<ulid:page_id>", responder_page.coming, name="coming"),
    path("<ulid:incident_id>/post", responder_page.post, name="post"),
    path("<ulid:incident_id>/undo/<ulid:entry_id>", responder_page.undo, name="undo"),
]

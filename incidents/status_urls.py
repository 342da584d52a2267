from django.urls import path

from incidents import status_feed, status_page

app_name = "status"

urlpatterns = [
    path("", status_page.overview, name="overview"),
    path("history", status_page.history, name="history"),
    path("feed.atom", status_feed.feed, name="feed"),
    path("<slug:public_id>/", status_page.incident, name="incident"),
]

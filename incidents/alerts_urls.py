from django.urls import path

from incidents import alerts_page

urlpatterns = [
    path("alerts/", alerts_page.alerts, name="alerts"),
    path("alerts/<ulid:alert_id>/accept", alerts_page.accept, name="alert-accept"),
    path("alerts/<ulid:alert_id>/attach", alerts_page.attach, name="alert-attach"),
    path("alerts/<ulid:alert_id>/dismiss", alerts_page.dismiss, name="alert-dismiss"),
]

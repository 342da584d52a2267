"""Where routes begin."""

from django.contrib import admin
from django.urls import include, path

from incidents import executive_page, intake_api
from majorops import metrics, views

handler400 = "majorops.views.bad_request"
handler403 = "majorops.views.forbidden"
handler404 = "majorops.views.not_found"
handler500 = "majorops.views.broken"

urlpatterns = [
    # First: programs poll, and an address is looked for in this order.
    path("api/v2/", include("incidents.status_api_urls")),
    path("api/", include("majorops.api")),
    path("", views.home, name="home"),
    path("who", views.who, name="who"),
    path("logout", views.logout, name="logout"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("", include("kpis.urls")),
    path("incidents/", include("incidents.urls")),
    path("r/", include("incidents.responder_urls")),
    path("exec/", executive_page.executive_list, name="executive"),
    path("", include("incidents.alerts_urls")),
    path("v2/enqueue", intake_api.enqueue, name="enqueue"),
    path("", include("incidents.after_urls")),
    path("", include("incidents.subscriptions_urls")),
    path("status/", include("incidents.status_urls")),
    path("admin/", admin.site.urls),
]

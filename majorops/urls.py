"""Where routes begin."""

from django.contrib import admin
from django.urls import include, path

from majorops import views

handler400 = "majorops.views.bad_request"
handler403 = "majorops.views.forbidden"
handler404 = "majorops.views.not_found"
handler500 = "majorops.views.broken"

urlpatterns = [
    path("", views.home, name="home"),
    path("who", views.who, name="who"),
    path("logout", views.logout, name="logout"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("", include("kpis.urls")),
    path("incidents/", include("incidents.urls")),
    path("r/", include("incidents.responder_urls")),
    path("api/", include("majorops.api")),
    path("admin/", admin.site.urls),
]

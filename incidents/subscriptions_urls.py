from django.urls import path

from incidents import subscriptions_page

urlpatterns = [
    path("settings/notifications", subscriptions_page.notifications, name="notifications"),
    path("stop/<str:token>", subscriptions_page.stop, name="stop"),
]

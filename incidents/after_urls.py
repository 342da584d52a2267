"""Addresses that belong to no single incident: reviews, follow-ups, a survey by its link, the calendar."""

from django.urls import path

from incidents import calendar_page, review_page, survey_page

urlpatterns = [
    path("reviews/", review_page.reviews, name="reviews"),
    path("follow-ups/", review_page.follow_ups, name="follow-ups"),
    path("s/<str:token>", survey_page.answer, name="survey"),
    path("calendar", calendar_page.calendar, name="calendar"),
    path("calendar.ics", calendar_page.download, name="calendar-file"),
    path("calendar/<str:token>.ics", calendar_page.feed, name="calendar-feed"),
]

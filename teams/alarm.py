"""RULES: the alarm levels a team can be rated for and paged at. Pure."""

from django.db.models import TextChoices


class AlarmLevel(TextChoices):
    """How loud the alarm: Box 3 answers critical incidents."""

    BOX3 = "box3", "Box 3"
    BOX2 = "box2", "Box 2"
    BOX1 = "box1", "Box 1"

"""The one signal we own. Sent after commit, so that a listener's failure cannot hurt the incident."""

from django.dispatch import Signal

#: Arguments: incident_id (ULID str). Something about this incident was recorded.
recorded = Signal()

"""Alerts on KPIs: rules, their replay over the figures, the ladder of those who are told, and acknowledging."""

"""What other tools read of the KPIs: Prometheus, Grafana, OpenSLO and SQL."""

"""Writes deploy/grafana/dashboards: what the dashboards show, and their form in Grafana's JSON."""

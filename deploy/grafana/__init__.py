"""The boards of Grafana, and what makes them: `python -m deploy.grafana.boards`."""

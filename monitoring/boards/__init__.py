"""Grafana's dashboards, from general to specific. `scripts/generate` writes them to monitoring/grafana/dashboards/."""

from boards import overview, serving, sync

BOARDS = {"overview": overview.board, "sync": sync.board, "serving": serving.board}

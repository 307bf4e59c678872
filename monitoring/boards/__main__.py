"""Writes the dashboards in Grafana's format."""

from pathlib import Path

from boards import BOARDS
from boards.panels import as_json

DIRECTORY = Path(__file__).parents[1] / "grafana" / "dashboards"

for name, board in BOARDS.items():
    (DIRECTORY / f"{name}.json").write_text(as_json(board()))

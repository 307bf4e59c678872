"""Grafana's dashboards: valid, readable and current."""

import json
from itertools import combinations
from typing import Any

import promql_parser as promql
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from boards import BOARDS
from boards.overview import REMEDIES
from boards.panels import as_json
from monitoring.dashboards import DIRECTORY, Query, boards, panels, queries, selectors, spans
from monitoring.promtool import PROMETHEUS, REPOSITORY
from monitoring.reference import families, series_names
from monitoring.test_alerts import ALERTS, rules

GRAFANA = REPOSITORY / "monitoring" / "grafana"
ALL_PANELS = [pytest.param(panel, id=f"{name}: {panel['title']}") for name, panel in panels()]
ALL_QUERIES = [pytest.param(query, id=query.panel) for query in queries()]


def test_dashboards_are_current() -> None:
    """The committed dashboards match monitoring/boards; otherwise run scripts/generate."""
    assert {path.stem: path.read_text() for path in DIRECTORY.glob("*.json")} == {
        name: as_json(board()) for name, board in BOARDS.items()
    }


@pytest.mark.parametrize("name", BOARDS)
def test_dashboard_matches_grafanas_schema(name: str) -> None:
    """Grafana's own model reads and writes the file unchanged, so no key is misspelt."""
    board = boards()[name]
    assert json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder)) == board
    assert (board["uid"], board["editable"]) == (f"pypi-mirror-{name}", False)
    assert board["schemaVersion"] >= 36


@pytest.mark.parametrize("name", BOARDS)
def test_panels_do_not_overlap(name: str) -> None:
    """Panels have unique ids, fit into 24 columns and do not overlap."""
    found = boards()[name]["panels"]
    assert len({panel["id"] for panel in found}) == len(found)
    for panel in found:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
    for one, other in combinations(found, 2):
        a, b = one["gridPos"], other["gridPos"]
        apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert apart or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"], (one["title"], other["title"])


@pytest.mark.parametrize("panel", ALL_PANELS)
def test_panel_is_explained(panel: dict[str, Any]) -> None:
    """A panel has a title, a description and a unit, and uses the selected data source."""
    assert panel["title"]
    assert panel["description"].endswith((".", "?"))
    assert panel["fieldConfig"]["defaults"]["unit"]
    sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
    assert sources == [{"type": "prometheus", "uid": "${datasource}"}] * len(sources)
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@pytest.mark.parametrize("query", ALL_QUERIES)
def test_query_uses_existing_metrics(query: Query, exposed: str) -> None:
    """A query uses exported or recorded metrics, or Prometheus' own ones of alerts."""
    known = series_names(families(exposed)) | {rule["record"] for rule in rules() if "record" in rule}
    assert {name for name, _ in selectors(query.parsed)} <= known | {"ALERTS", "ALERTS_FOR_STATE"}


@pytest.mark.parametrize("query", ALL_QUERIES)
def test_counters_are_queried_by_rate(query: Query) -> None:
    """A counter is queried by rate or increase over a range that Grafana chooses; a gauge is not."""
    for name, function in selectors(query.parsed):
        is_counter = name.endswith(("_total", "_bucket", "_sum", "_count"))
        assert is_counter == (function in ("rate", "increase")), name
    assert spans(query.expression) <= {"$__rate_interval", "$__range"}


def test_rules_use_existing_metrics(exposed: str) -> None:
    """Rules and alerts use exported or recorded metrics, or those of a scrape."""
    known = series_names(families(exposed)) | {rule["record"] for rule in rules() if "record" in rule}
    for rule in rules():
        assert {name for name, _ in selectors(promql.parse(rule["expr"]))} <= known | {"up"}


def test_alert_table_explains_each_alert() -> None:
    """The table of firing alerts says for each one what still works and what to do."""
    assert set(REMEDIES) == ALERTS | {"nothing"}


def test_dashboards_are_linked() -> None:
    """Each dashboard links to the others, keeping time range and data source, and to the mirror's page."""
    for name, board in boards().items():
        link, page = board["links"]
        assert (link["type"], link["keepTime"], link["includeVars"]) == ("dashboards", True, True), name
        assert set(link["tags"]) <= set(board["tags"])
        assert (page["type"], page["url"]) == ("link", "${page}/ui/")
        (variable,) = [one for one in board["templating"]["list"] if one["name"] == "page"]
        assert variable["query"] == "label_values(pypi_mirror_page_info, url)"


def test_grafana_is_provisioned_read_only() -> None:
    """Grafana finds data source and dashboards under stable names, and nobody can edit them."""
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert (source["uid"], source["url"], source["editable"]) == (
        "pypi-mirror-prometheus",
        "http://prometheus:9090",
        False,
    )
    interval = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == interval
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/mirror.yaml").read_text())["providers"]
    assert provider["allowUiUpdates"] is False
    mounted = provider["options"]["path"].replace("/etc/grafana", str(GRAFANA))
    assert mounted == str(DIRECTORY)
    home = f"default_home_dashboard_path = {provider['options']['path']}/overview.json"
    assert home in (GRAFANA / "grafana.ini").read_text()

"""The metrics of an edge, which has nginx and control but no syncer."""

import time

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from control.log_lines import line, minute_file
from mirror_control.settings import Settings


def samples(client: httpx2.Client) -> dict[str, float]:
    """Return all samples by name and labels."""
    return {
        " ".join([sample.name.removeprefix("pypi_mirror_"), *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }


def test_origin_has_no_metrics_of_an_edge(client: httpx2.Client) -> None:
    """An origin exports nothing of an edge, so no alert on edges concerns it."""
    assert not [name for name in samples(client) if name.startswith("edge_")]


def test_edge_counts_its_cache(settings: Settings, client: httpx2.Client) -> None:
    """An edge exports its answers by state of the cache, and nothing of a syncer, which it does not have."""
    settings.access_log.mkdir()
    (settings.access_log / "edge.json").write_text('{"read":1796073688,"error":""}')
    lines = [line(cache="HIT"), line(cache="HIT"), line(cache="MISS"), line(route="page", cache=""), line()]
    minute_file(settings.access_log).write_bytes(b"".join([*lines, line(route="page", cache="<forged>")]))
    deadline = time.monotonic() + 10
    while not (found := samples(client))["edge_answers_total hit package"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    counted = {name: value for name, value in found.items() if name.startswith("edge_answers") and value}
    assert counted == {
        "edge_answers_total hit package": 2,
        "edge_answers_total miss package": 1,
        "edge_answers_total none package": 1,
        "edge_answers_total none page": 1,
    }
    assert found["edge_list_timestamp_seconds"] == 1_796_073_688
    assert not [name for name in found if name.startswith(("syncer_up", "last_completion"))]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"read":"x"}', "\udcff"])
def test_damaged_report_is_an_edge_that_never_read(settings: Settings, client: httpx2.Client, content: str) -> None:
    """An edge whose report cannot be read counts as one that has never read the list, so that the alert fires."""
    settings.access_log.mkdir()
    (settings.access_log / "edge.json").write_bytes(content.encode(errors="surrogateescape"))
    assert samples(client)["edge_list_timestamp_seconds"] == 0

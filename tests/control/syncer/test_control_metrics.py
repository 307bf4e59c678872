"""The exposition that Prometheus scrapes from control."""

import time
from collections.abc import Sequence
from contextlib import suppress

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from control.fake_syncer import FakeSyncer, Mood
from control.live import Background
from mirror_control.metrics import Exposition, parse_exposition


def _scrape(client: httpx2.Client) -> dict[str, Metric]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(answer.text))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "each family once"
    return {family.name: family for family in families}


def test_scrape_contains_both_services(client: httpx2.Client) -> None:
    """With the syncer up, a scrape contains its families of every type and control's own."""
    families = _scrape(client)

    assert families["pypi_mirror_syncer_up"].samples[0].value == 1
    assert {sample.labels["service"] for sample in families["pypi_mirror_build_info"].samples} == {"syncer", "control"}
    assert families["pypi_mirror_runs"].samples[0].value == 3
    assert families["pypi_mirror_run_duration_seconds"].type == "histogram"
    assert families["pypi_mirror_projects"].documentation == "Projects by state."


def test_scrape_contains_only_the_mirrors_metrics(client: httpx2.Client) -> None:
    """A scrape contains no process, platform or collector metrics."""
    assert all(name.startswith("pypi_mirror_") for name in _scrape(client))


@pytest.mark.parametrize("mood", [None, Mood.HANGING, Mood.GARBLED, Mood.BROKEN, Mood.MISSHAPEN])
def test_only_gauges_repeat_without_the_syncer(
    client: httpx2.Client, syncer: FakeSyncer, background: Background, mood: Mood | None
) -> None:
    """With the syncer down, within 3 s: syncer_up is 0, gauges repeat, counters and histograms are absent."""
    before = _scrape(client)
    if mood is None:
        background.run(syncer.stop())
    else:
        syncer.mood = mood
    start = time.monotonic()
    after = _scrape(client)

    assert time.monotonic() - start < 3
    assert after["pypi_mirror_syncer_up"].samples[0].value == 0
    for name in ("pypi_mirror_projects", "pypi_mirror_last_success_timestamp_seconds", "pypi_mirror_build_info"):
        assert after[name].samples == before[name].samples
    # What nginx served is control's own.
    assert {family.type for name, family in after.items() if "_serve" not in name and "_log_" not in name} == {"gauge"}
    assert not any(name.endswith("_created") for name in after)


def test_unknown_syncer_counts_as_down() -> None:
    """Without any known metrics, the exposition has syncer_up 0 and control's version."""
    text = generate_latest(Exposition((), syncer_up=False, version="1.2.3")).decode()

    assert "pypi_mirror_syncer_up 0.0" in text
    assert 'pypi_mirror_build_info{service="control",version="1.2.3"} 1.0' in text


@pytest.mark.parametrize("content", [b"", b"<html>", b"\xff", b"other_metric 1\n", b'{"a": 1}', b"pypi_mirror_x{ 1"])
def test_foreign_exposition_is_refused(content: bytes) -> None:
    """Invalid or foreign input raises ValueError and never becomes an empty exposition."""
    with pytest.raises(ValueError, match="not an exposition"):
        parse_exposition(content)


@given(
    cuts=st.lists(
        st.tuples(st.integers(0, 200), st.sampled_from(["", "{", "}", '"', ",", "=", "\\", "# ", "\n"])), max_size=6
    )
)
def test_damaged_exposition_is_parsed_or_refused(cuts: list[tuple[int, str]]) -> None:
    """Law: a damaged exposition is parsed or raises ValueError."""
    text = '# TYPE pypi_mirror_x gauge\npypi_mirror_x{a="b",c="\\n"} 1.0 123\npypi_mirror_y 2\n'
    for place, insertion in cuts:
        text = text[: place % len(text)] + insertion + text[place % len(text) + 1 :] + " "
    with suppress(ValueError):
        assert parse_exposition(text.encode())


LABELS = st.lists(st.text(max_size=8), min_size=1, max_size=3, unique=True)


@given(labels=LABELS, value=st.floats(allow_nan=False), buckets=st.floats(min_value=0, max_value=20))
def test_families_pass_unchanged(labels: Sequence[str], value: float, buckets: float) -> None:
    """Law: control exposes the syncer's samples unchanged, with any labels and values."""
    registry = CollectorRegistry()
    gauge = Gauge("pypi_mirror_g", "G: \\ and\nnewline.", ["a"], registry=registry)
    counter = Counter("pypi_mirror_c", "C.", ["a"], registry=registry)
    histogram = Histogram("pypi_mirror_h_seconds", "H.", ["a"], registry=registry)
    for label in labels:
        gauge.labels(label).set(value)
        counter.labels(label).inc(abs(value))
        histogram.labels(label).observe(buckets)
    before = parse_exposition(generate_latest(registry))
    passed = generate_latest(Exposition(before, syncer_up=True, version="1"))
    after = [one for one in parse_exposition(passed) if not one.name.endswith(("build_info", "syncer_up"))]

    assert after == before

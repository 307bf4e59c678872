"""The metrics: names, labels, conventions and documentation."""

import pytest

from monitoring.promtool import promtool
from monitoring.reference import DOCUMENT, document, families

# The contract: what dashboards, alerts and other people's scripts may ask for.
CONTRACT = {
    *("build_info{service,version}", "runs_total{kind,outcome}", "run_in_progress{kind}", "run_duration_seconds{kind}"),
    *("run_phase_seconds{kind,phase}", "last_success_timestamp_seconds{kind}", "last_attempt_timestamp_seconds{kind}"),
    *("last_completion_timestamp_seconds{kind}", "next_run_timestamp_seconds", "projects{state}", "files"),
    *(
        "stored_bytes",
        "serial",
        "upstream_serial",
        "upstream_serial_timestamp_seconds",
        "plan_projects{action}",
        "policy_valid",
        "transfers_total{kind,outcome}",
    ),
    *(
        "transferred_bytes_total",
        "upload_times_dropped_total",
        "verification_failures_total{reason}",
        "upstream_requests_total{code,endpoint}",
    ),
    *("upstream_request_duration_seconds{endpoint}", "retries_total{reason}", "queue_projects{priority}"),
    *("volume_free_bytes", "volume_size_bytes", "volume_free_inodes", "syncer_up"),
    *("served_requests_total{route,status}", "served_bytes_total{route}", "serve_duration_seconds{route}"),
    *("held_files", "blocked_files", "held_next_expiry_timestamp_seconds", "maturity_late_seconds"),
    *("released_versions", "policy_warnings{kind}", "advisories{kind}", "advisories_newest_timestamp_seconds"),
    *("closure_projects{why}", "unmet_requirements{reason}", "lines_without_proof"),
    *("webhooks_total{outcome}", "schedule_paused_timestamp_seconds", "certificate_end_timestamp_seconds"),
    "page_info{url}",
    "access_log_unreadable_lines_total",
    *("edge_answers_total{cache,route}", "edge_list_timestamp_seconds"),
}


def shape(exposed: str) -> set[str]:
    """Return the metrics with their labels, as the contract writes them."""
    return {
        f"{family.name}{{{','.join(family.labels)}}}" if family.labels else family.name for family in families(exposed)
    }


def test_every_documented_metric_is_exported(exposed: str) -> None:
    """The exported metrics and labels match the contract exactly."""
    assert shape(exposed) == CONTRACT


def test_labels_have_few_values(exposed: str) -> None:
    """Every label has fewer than ten values (Prometheus' rule of thumb), so that dashboards can show all series."""
    values = {family.name: {label: len(some) for label, some in family.labels.items()} for family in families(exposed)}
    assert {name: labels for name, labels in values.items() if any(count >= 10 for count in labels.values())} == {}


def test_metric_names_end_in_base_units(exposed: str) -> None:
    """Units in metric names are base units: seconds, bytes or counts; times are timestamps, not ages."""
    names = [family.name for family in families(exposed)]
    assert not any(name.endswith(("_milliseconds", "_kilobytes", "_megabytes", "_age_seconds")) for name in names)
    assert all(name.endswith("_timestamp_seconds") for name in names if name.startswith(("last_", "next_")))


def test_page_is_current(exposed: str) -> None:
    """docs/metrics.md matches the exported metrics; otherwise run scripts/generate."""
    assert DOCUMENT.read_text() == document(exposed)


@pytest.mark.docker
def test_promtool_accepts_the_exposition(exposed: str) -> None:
    """Prometheus' own linter has no complaint."""
    assert promtool("check", "metrics", stdin=exposed) == (0, "")

"""Sync: what runs do, how fast, and how upstream answers."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from boards.panels import board as make_board
from boards.panels import graph, ranking

_LATENCY = (
    "histogram_quantile({share}, sum by (le, endpoint) "
    "(rate(pypi_mirror_upstream_request_duration_seconds_bucket[$__rate_interval])))"
)


def board() -> Dashboard:
    """Return the dashboard."""
    return make_board(
        "sync",
        "Sync",
        "What runs do, how fast they get on, and how upstream answers.",
        {
            "Runs": [
                graph(
                    "Runs that ended",
                    "By kind and outcome. Incomplete: done, but something failed or was withheld.",
                    unit="none",
                    queries={
                        "{{kind}} {{outcome}}": "sum by (kind, outcome) "
                        "(increase(pypi_mirror_runs_total[$__rate_interval]))"
                    },
                ),
                graph(
                    "Under way",
                    "1 while a run of this kind is under way.",
                    unit="none",
                    queries={"{{kind}}": "max by (kind) (pypi_mirror_run_in_progress)"},
                ),
                graph(
                    "Duration",
                    "How long the last whole run of each kind took.",
                    unit="s",
                    queries={"{{kind}}": "max by (kind) (pypi_mirror_run_duration_seconds)"},
                ),
                ranking(
                    "Phases of the last sync",
                    "How long each took. Pages are published during transfer; publish is the project list.",
                    unit="s",
                    queries={"{{phase}}": 'max by (phase) (pypi_mirror_run_phase_seconds{kind="sync"})'},
                ),
            ],
            "Work": [
                graph(
                    "Projects that wait",
                    "By priority; named ones, which a person waits for, come first.",
                    unit="none",
                    queries={"{{priority}}": "sum by (priority) (pypi_mirror_queue_projects)"},
                    stacked=True,
                ),
                graph(
                    "Projects amiss",
                    "Failing: no page. Partial: without some file. Behind: changed upstream, and not fetched yet.",
                    unit="none",
                    queries={
                        "{{state}}": 'sum by (state) (pypi_mirror_projects{state=~"failing|partial|behind"})',
                    },
                    stacked=True,
                ),
                ranking(
                    "Last plan",
                    "What the last whole sync was to do. Withheld: what the deletion guard held back.",
                    unit="none",
                    queries={"{{action}}": "max by (action) (pypi_mirror_plan_projects)"},
                ),
                graph(
                    "Serials",
                    "Up to which all is mirrored, and upstream's. With scope everything alone.",
                    unit="none",
                    queries={"mirrored": "max(pypi_mirror_serial)", "upstream": "max(pypi_mirror_upstream_serial)"},
                ),
            ],
            "Throughput": [
                graph(
                    "Bytes fetched",
                    "Of files, a second.",
                    unit="Bps",
                    queries={"fetched": "sum(rate(pypi_mirror_transferred_bytes_total[$__rate_interval]))"},
                ),
                graph(
                    "Files fetched",
                    "A second, by kind and outcome.",
                    unit="cps",
                    queries={
                        "{{kind}} {{outcome}}": "sum by (kind, outcome) "
                        "(rate(pypi_mirror_transfers_total[$__rate_interval]))"
                    },
                ),
            ],
            "Upstream": [
                graph(
                    "Requests by answer",
                    "A second. 304: no news. 404: gone. connection and timeout: no answer.",
                    unit="reqps",
                    queries={
                        "{{code}}": "sum by (code) (rate(pypi_mirror_upstream_requests_total[$__rate_interval]))",
                    },
                    stacked=True,
                ),
                graph(
                    "Errors",
                    "Of all requests, those without an answer or with one that is an error.",
                    unit="percentunit",
                    queries={"errors": "max(job:pypi_mirror_upstream_errors_per_request:ratio_rate5m)"},
                ),
                graph(
                    "Latency",
                    "How long requests take, body and all: half of them at most so long, and all but one in twenty.",
                    unit="s",
                    queries={
                        "{{endpoint}} p50": _LATENCY.format(share=0.5),
                        "{{endpoint}} p95": _LATENCY.format(share=0.95),
                    },
                ),
                graph(
                    "Retries",
                    "Further attempts a second, by what went wrong. 429: upstream wants fewer requests.",
                    unit="reqps",
                    queries={"{{reason}}": "sum by (reason) (rate(pypi_mirror_retries_total[$__rate_interval]))"},
                ),
            ],
            "What is held": [
                graph(
                    "Files",
                    "Published.",
                    unit="none",
                    queries={"files": "sum(pypi_mirror_files)"},
                    width=8,
                ),
                graph(
                    "Bytes",
                    "Published, and what is free on the volume.",
                    unit="bytes",
                    queries={
                        "published": "sum(pypi_mirror_stored_bytes)",
                        "free": "min(pypi_mirror_volume_free_bytes)",
                    },
                    width=8,
                ),
                graph(
                    "Damage found",
                    "Files and pages that a verify found missing, wrong or unreadable.",
                    unit="none",
                    queries={
                        "{{reason}}": "sum by (reason) "
                        "(increase(pypi_mirror_verification_failures_total[$__rate_interval]))"
                    },
                    width=8,
                ),
            ],
        },
    )

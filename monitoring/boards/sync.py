"""The sync dashboard: runs, throughput, and upstream's answers."""

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
        "Runs, their progress and throughput, and upstream's answers.",
        {
            "Runs": [
                graph(
                    "Finished runs",
                    "By kind and outcome. Incomplete: finished, but something failed or was withheld.",
                    unit="none",
                    queries={
                        "{{kind}} {{outcome}}": "sum by (kind, outcome) "
                        "(increase(pypi_mirror_runs_total[$__rate_interval]))"
                    },
                ),
                graph(
                    "Running",
                    "1 while a run of this kind is running.",
                    unit="none",
                    queries={"{{kind}}": "max by (kind) (pypi_mirror_run_in_progress)"},
                ),
                graph(
                    "Duration",
                    "Duration of the last full run of each kind.",
                    unit="s",
                    queries={"{{kind}}": "max by (kind) (pypi_mirror_run_duration_seconds)"},
                ),
                ranking(
                    "Phases of the last sync",
                    "Duration of each phase. The transfer phase also publishes pages; publish is the project list.",
                    unit="s",
                    queries={"{{phase}}": 'max by (phase) (pypi_mirror_run_phase_seconds{kind="sync"})'},
                ),
            ],
            "Work": [
                graph(
                    "Waiting projects",
                    "By priority. Named projects come first, because a person waits for them.",
                    unit="none",
                    queries={"{{priority}}": "sum by (priority) (pypi_mirror_queue_projects)"},
                    stacked=True,
                ),
                graph(
                    "Projects not up to date",
                    "Failing: the refresh failed. Partial: some files are missing. Behind: not synced yet.",
                    unit="none",
                    queries={
                        "{{state}}": 'sum by (state) (pypi_mirror_projects{state=~"failing|partial|behind"})',
                    },
                    stacked=True,
                ),
                ranking(
                    "Last plan",
                    "Plan of the last full sync. Withheld: removals that the deletion guard withholds.",
                    unit="none",
                    queries={"{{action}}": "max by (action) (pypi_mirror_plan_projects)"},
                ),
                graph(
                    "Serials",
                    "The serial up to which everything is mirrored, and upstream's. Only with scope everything.",
                    unit="none",
                    queries={"mirrored": "max(pypi_mirror_serial)", "upstream": "max(pypi_mirror_upstream_serial)"},
                ),
            ],
            "Throughput": [
                graph(
                    "Bytes downloaded",
                    "Bytes of files per second.",
                    unit="Bps",
                    queries={"downloaded": "sum(rate(pypi_mirror_transferred_bytes_total[$__rate_interval]))"},
                ),
                graph(
                    "Files downloaded",
                    "Files per second, by kind and outcome.",
                    unit="cps",
                    queries={
                        "{{kind}} {{outcome}}": "sum by (kind, outcome) "
                        "(rate(pypi_mirror_transfers_total[$__rate_interval]))"
                    },
                ),
            ],
            "Upstream": [
                graph(
                    "Requests by status",
                    "Requests per second. 304: unchanged. 404: deleted. connection and timeout: no answer.",
                    unit="reqps",
                    queries={
                        "{{code}}": "sum by (code) (rate(pypi_mirror_upstream_requests_total[$__rate_interval]))",
                    },
                    stacked=True,
                ),
                graph(
                    "Errors",
                    "Share of requests that failed or got no answer.",
                    unit="percentunit",
                    queries={"errors": "max(job:pypi_mirror_upstream_errors_per_request:ratio_rate5m)"},
                ),
                graph(
                    "Latency",
                    "Duration of requests including bodies: median and 95th percentile.",
                    unit="s",
                    queries={
                        "{{endpoint}} p50": _LATENCY.format(share=0.5),
                        "{{endpoint}} p95": _LATENCY.format(share=0.95),
                    },
                ),
                graph(
                    "Retries",
                    "Retries per second, by cause. 429: upstream limits the request rate.",
                    unit="reqps",
                    queries={"{{reason}}": "sum by (reason) (rate(pypi_mirror_retries_total[$__rate_interval]))"},
                ),
            ],
            "Published": [
                graph(
                    "Files",
                    "Published files.",
                    unit="none",
                    queries={"files": "sum(pypi_mirror_files)"},
                    width=8,
                ),
                graph(
                    "Bytes",
                    "Published bytes, and free bytes on the volume.",
                    unit="bytes",
                    queries={
                        "published": "sum(pypi_mirror_stored_bytes)",
                        "free": "min(pypi_mirror_volume_free_bytes)",
                    },
                    width=8,
                ),
                graph(
                    "Damage",
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

"""Overview: is it fresh, complete, serving, and will the disk last?"""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from boards.panels import board as make_board
from boards.panels import graph, tile

_HOUR, _DAY = 3600, 86400


def board() -> Dashboard:
    """Return the dashboard."""
    return make_board(
        "overview",
        "Overview",
        "One look: is the mirror fresh, complete and serving, and will the disk last?",
        {
            "": [
                tile(
                    "Alerts",
                    "How many fire now. Prometheus says which at /alerts, and docs/operations.md what to do.",
                    unit="none",
                    query='sum(ALERTS{alertstate="firing"}) or vector(0)',
                    steps=(1, 2),
                ),
                tile(
                    "Last sync",
                    "How long ago a sync of the whole mirror last did all that it could.",
                    unit="s",
                    query='time() - max(pypi_mirror_last_completion_timestamp_seconds{kind="sync"})',
                    steps=(3 * _HOUR, _DAY),
                    decimals=0,
                ),
                tile(
                    "Next sync",
                    "When the schedule brings the next one. Nothing where it is off or paused.",
                    unit="s",
                    query="max(pypi_mirror_next_run_timestamp_seconds) - time()",
                    decimals=0,
                    none="off",
                ),
                tile(
                    "Lag",
                    "How many serials upstream's list is ahead of what is mirrored. With scope everything alone.",
                    unit="none",
                    query="max(pypi_mirror_upstream_serial) - max(pypi_mirror_serial)",
                    none="no serials",
                ),
                tile(
                    "Projects failing",
                    "Whose page could not be had, or some of whose files; mirrorctl projects --state failing says why.",
                    unit="none",
                    query='sum(pypi_mirror_projects{state=~"failing|partial"})',
                    steps=(1, 1000),
                ),
                tile(
                    "Served",
                    "Requests a second that the web server answers.",
                    unit="reqps",
                    query="sum(rate(pypi_mirror_served_requests_total[$__rate_interval]))",
                ),
                tile(
                    "Disk lasts",
                    "How long, if it fills as it did for the last day. Ten years mean that it does not fill.",
                    unit="s",
                    query="min(job:pypi_mirror_volume_left_seconds:min)",
                    steps=(30 * _DAY, 4 * _DAY),
                    decimals=0,
                ),
                tile(
                    "Disk free",
                    "Of the volume. A sync stops at MIRROR_DISK_RESERVE, which is 5 %.",
                    unit="percentunit",
                    query="min(pypi_mirror_volume_free_bytes / pypi_mirror_volume_size_bytes)",
                    steps=(0.2, 0.06),
                    decimals=1,
                ),
                graph(
                    "Requests",
                    "What clients ask of the mirror, and what the mirror asks of upstream.",
                    unit="reqps",
                    queries={
                        "served": "sum(rate(pypi_mirror_served_requests_total[$__rate_interval]))",
                        "asked upstream": "sum(rate(pypi_mirror_upstream_requests_total[$__rate_interval]))",
                    },
                    width=24,
                ),
            ],
        },
    )

"""Serving: requests, errors and durations by route, and the bytes that go out."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from boards.panels import board as make_board
from boards.panels import graph, ranking

_DURATION = (
    "histogram_quantile({share}, sum by (le, route) "
    "(rate(pypi_mirror_serve_duration_seconds_bucket[$__rate_interval])))"
)


def board() -> Dashboard:
    """Return the dashboard."""
    return make_board(
        "serving",
        "Serving",
        "How well clients are served, by route: page, package, (legacy) json, control (API and web page), other.",
        {
            "": [
                graph(
                    "Requests",
                    "A second, by route.",
                    unit="reqps",
                    queries={
                        "{{route}}": "sum by (route) (rate(pypi_mirror_served_requests_total[$__rate_interval]))",
                    },
                    stacked=True,
                ),
                graph(
                    "Errors",
                    "Of each route's requests, those answered with a 5xx.",
                    unit="percentunit",
                    queries={"{{route}}": "max by (route) (job_route:pypi_mirror_served_5xx_per_request:ratio_rate5m)"},
                ),
                graph(
                    "Duration",
                    "From the first byte asked to the last sent, so a slow client counts: half of the requests take at "
                    "most so long, and all but one in twenty.",
                    unit="s",
                    queries={
                        "{{route}} p50": _DURATION.format(share=0.5),
                        "{{route}} p95": _DURATION.format(share=0.95),
                    },
                ),
                graph(
                    "Bytes",
                    "Sent a second, by route.",
                    unit="Bps",
                    queries={"{{route}}": "sum by (route) (rate(pypi_mirror_served_bytes_total[$__rate_interval]))"},
                    stacked=True,
                ),
                ranking(
                    "Status codes",
                    "The ten that were answered most in the time shown.",
                    unit="none",
                    queries={
                        "{{status}}": "topk(10, sum by (status) "
                        "(increase(pypi_mirror_served_requests_total[$__range])))"
                    },
                    width=24,
                ),
            ],
        },
    )

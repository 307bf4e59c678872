"""The serving dashboard: requests, errors, durations and bytes by route."""

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
        "Requests of clients by route: page, package, (legacy) json, control (API and web page), other.",
        {
            "": [
                graph(
                    "Requests",
                    "Requests per second, by route.",
                    unit="reqps",
                    queries={
                        "{{route}}": "sum by (route) (rate(pypi_mirror_served_requests_total[$__rate_interval]))",
                    },
                    stacked=True,
                ),
                graph(
                    "Errors",
                    "Share of each route's requests that failed with 5xx.",
                    unit="percentunit",
                    queries={"{{route}}": "max by (route) (job_route:pypi_mirror_served_5xx_per_request:ratio_rate5m)"},
                ),
                graph(
                    "Duration",
                    "From the request's first byte to the answer's last, slow clients included: p50 and p95.",
                    unit="s",
                    queries={
                        "{{route}} p50": _DURATION.format(share=0.5),
                        "{{route}} p95": _DURATION.format(share=0.95),
                    },
                ),
                graph(
                    "Bytes",
                    "Bytes sent per second, by route.",
                    unit="Bps",
                    queries={"{{route}}": "sum by (route) (rate(pypi_mirror_served_bytes_total[$__rate_interval]))"},
                    stacked=True,
                ),
                graph(
                    "Cache hits of edges",
                    "Share of requests for pages and files that edges answered from their cache, by route.",
                    unit="percentunit",
                    queries={
                        "{{route}}": "sum by (route) (rate(pypi_mirror_edge_answers_total"
                        '{cache=~"hit|stale|updating|revalidated"}[$__rate_interval]))'
                        " / (sum by (route) (rate(pypi_mirror_edge_answers_total"
                        '{cache!="none"}[$__rate_interval])) > 0)',
                    },
                ),
                graph(
                    "Age of the edges' list",
                    "Since an edge last read its origin's list of changes. Withdrawn files stay that long.",
                    unit="s",
                    queries={"{{instance}}": "time() - pypi_mirror_edge_list_timestamp_seconds > 0"},
                ),
                ranking(
                    "Status codes",
                    "The ten most frequent status codes in the selected time range.",
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

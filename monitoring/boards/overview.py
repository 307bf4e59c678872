"""Overview: is it fresh, complete, serving, and will the disk last?"""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from boards.panels import board as make_board
from boards.panels import graph, listing, tile

_HOUR, _DAY = 3600, 86400

# Of each alert, the earliest moment from which on its condition held; a line that says so where none fires.
_FIRING = """
label_replace(
  1000 * min by (alertname, of) (
    label_join(
      ALERTS_FOR_STATE{alertname=~"Mirror.+"}
      and ignoring (alertstate) ALERTS{alertname=~"Mirror.+", alertstate="firing"},
      "of", "", "service", "reason", "route"
    )
  )
  or on () label_replace(vector(0), "alertname", "nothing", "", ""),
  "remedy", "$1", "alertname", "(.+)"
)
""".strip()

REMEDIES = {
    "MirrorTargetDown": "Installs go on. docker compose ps, then docker compose logs of what it is; "
    "docker compose up -d starts what is stopped.",
    "MirrorSyncStale": "What is published installs. Is it upstream, the way to it, or the disk: "
    "docker compose exec control mirrorctl status",
    "MirrorSyncFailing": "What is published installs. Is it upstream, the way to it, the disk, or mirror.toml: "
    "docker compose exec control mirrorctl status",
    "MirrorProjectsFailing": "They keep what was published, and others are not touched by it. Which, and why: "
    "docker compose exec control mirrorctl projects --state failing --state partial",
    "MirrorSerialLagging": "What is published installs. After a long outage wait; else raise MIRROR_CONNECTIONS.",
    "MirrorUpstreamWithoutNews": "What is published installs. Has a cache or proxy before upstream frozen: "
    "docker compose exec control mirrorctl status",
    "MirrorVerificationFailures": "All other files install. Is the disk sound: "
    "docker compose exec control mirrorctl verify --repair --follow",
    "MirrorVolumeFillingUp": "Installs go on; below MIRROR_DISK_RESERVE syncs fail. "
    "Grow the disk, or select less in mirror.toml.",
    "MirrorMassDeletionBlocked": "All of it is still served. Which it is: "
    "docker compose run --rm --no-deps -T syncer plan. "
    "If it is meant: docker compose exec control mirrorctl sync --allow-removals N",
    "MirrorPolicyInvalid": "Syncs go on by the last good policy. Which mistake in which line: "
    "docker compose exec -T syncer mirror-syncer check",
    "MirrorServing5xx": "Other routes are served. docker compose ps, then docker compose logs --tail=50 nginx",
    "nothing": "–",
}


def board() -> Dashboard:
    """Return the dashboard."""
    return make_board(
        "overview",
        "Overview",
        "One look: is the mirror fresh, complete and serving, and will the disk last?",
        {
            "": [
                listing(
                    "What is wrong",
                    "The alerts that fire, and since when it is so. docs/alerts.md says more of each, by its name.",
                    query=_FIRING,
                    columns={
                        "alertname": "What is wrong",
                        "of": "Of",
                        "Value": "Since",
                        "remedy": "What still works, and what to do",
                    },
                    told={"remedy": REMEDIES},
                ),
                tile(
                    "Alerts",
                    "How many fire now.",
                    unit="none",
                    query='sum(ALERTS{alertname=~"Mirror.+", alertstate="firing"}) or vector(0)',
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
                    "Last try",
                    "Whether the last sync of the whole mirror that ended did all that it could, or failed.",
                    unit="none",
                    query='max(pypi_mirror_last_attempt_timestamp_seconds{kind="sync"}) '
                    '> bool max(pypi_mirror_last_completion_timestamp_seconds{kind="sync"}) '
                    'and max(pypi_mirror_last_attempt_timestamp_seconds{kind="sync"}) > 0',
                    steps=(1, 1),
                    none="not known",
                    words=("went well", "failed"),
                ),
                tile(
                    "Next sync",
                    "When the schedule brings the next one. None where it is off or paused, or nobody answers.",
                    unit="s",
                    query="max(pypi_mirror_next_run_timestamp_seconds) - time()",
                    decimals=0,
                    none="none known",
                ),
                tile(
                    "Syncer",
                    "Whether it answers control. While it does not, what it says of itself stands still.",
                    unit="none",
                    query="1 - min(pypi_mirror_syncer_up)",
                    steps=(1, 1),
                    none="control is away",
                    words=("answers", "is away"),
                ),
                tile(
                    "Upstream's errors",
                    "Of what was asked of it in five minutes, how much got no answer, or one that is an error.",
                    unit="percentunit",
                    query="max(job:pypi_mirror_upstream_errors_per_request:ratio_rate5m)",
                    steps=(0.01, 0.5),
                    decimals=0,
                    none="not asked",
                ),
                tile(
                    "Served",
                    "Requests a second that the web server answers.",
                    unit="reqps",
                    query="sum(rate(pypi_mirror_served_requests_total[$__rate_interval]))",
                ),
                tile(
                    "Served with errors",
                    "Of the requests for pages and files in five minutes, those answered with a 5xx; the worst route.",
                    unit="percentunit",
                    query='max(job_route:pypi_mirror_served_5xx_per_request:ratio_rate5m{route!="control"})',
                    steps=(0.001, 0.01),
                    decimals=1,
                    none="not asked",
                ),
                tile(
                    "Projects failing",
                    "Whose page could not be had, or some of whose files; mirrorctl projects --state failing says why.",
                    unit="none",
                    query='sum(pypi_mirror_projects{state=~"failing|partial"})',
                    steps=(1, 1000),
                ),
                tile(
                    "Lag",
                    "How many serials upstream's list is ahead of what is mirrored. With scope everything alone.",
                    unit="none",
                    query="max(pypi_mirror_upstream_serial) - max(pypi_mirror_serial)",
                    none="none known",
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

"""The overview dashboard: freshness, completeness, serving, disk space."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from boards.panels import board as make_board
from boards.panels import graph, listing, tile

_HOUR, _DAY = 3600, 86400

# For each alert, the time at which its condition began to hold; a line "nothing" if none fires.
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
    "MirrorTargetDown": "Installs still work. Check docker compose ps and docker compose logs; "
    "docker compose up -d starts stopped services.",
    "MirrorSyncStale": "Published files can be installed. Check upstream, the network and the disk: "
    "docker compose exec control mirrorctl status",
    "MirrorSyncFailing": "Published files can be installed. Check upstream, the network, the disk and mirror.toml: "
    "docker compose exec control mirrorctl status",
    "MirrorProjectsFailing": "Their previous versions stay published. To see the reasons: "
    "docker compose exec control mirrorctl projects --state failing --state partial",
    "MirrorSerialLagging": "Published files can be installed. After an outage, wait; else raise MIRROR_CONNECTIONS.",
    "MirrorUpstreamWithoutNews": "Published files can be installed. Upstream or a cache may be stuck: "
    "docker compose exec control mirrorctl status",
    "MirrorVerificationFailures": "All other files can be installed. Check the disk, then run "
    "docker compose exec control mirrorctl verify --repair --follow",
    "MirrorVolumeFillingUp": "Installs still work; below MIRROR_DISK_RESERVE, syncs fail. "
    "Enlarge the disk, or select less in mirror.toml.",
    "MirrorMassDeletionBlocked": "The projects are still served. To list them: "
    "docker compose run --rm --no-deps -T syncer plan. "
    "To allow the removals: docker compose exec control mirrorctl sync --allow-removals N",
    "MirrorPolicyInvalid": "Syncs use the last good policy. To see the mistakes with their lines: "
    "docker compose exec -T syncer mirror-syncer check",
    "MirrorMaturityLate": "Published files can be installed. Check upstream and the disk; to list the files: "
    "docker compose exec control mirrorctl held",
    "MirrorPolicyInputsUnusable": "The last good lock files and advisories stay in force. To list the problems: "
    "docker compose exec control mirrorctl status",
    "MirrorLineNotInstallable": "All other lines install. To list the lines, the machines and the reasons: "
    "docker compose exec control mirrorctl projects --unmet",
    "MirrorEdgeListStale": "The edge serves its cache, also what was blocked since. On its host: "
    "docker compose -f compose.edge.yaml logs --tail=50 nginx",
    "MirrorServing5xx": "Other routes still work. Check docker compose ps, then docker compose logs --tail=50 nginx",
    "MirrorCertificateEnds": "Until its end everything installs. Renew the certificate in MIRROR_TLS_DIR, then run "
    "docker compose exec nginx nginx -s reload",
    "MirrorWebhooksFailing": "Syncs and installs work. To see why the receiver refuses: docker compose logs syncer",
    "MirrorMissesGrowing": "Mirrored projects install. To list what was requested: "
    "docker compose exec control mirrorctl misses",
    "MirrorSchedulePaused": "Published files can be installed. To go on: docker compose exec control mirrorctl resume",
    "nothing": "–",
}


def board() -> Dashboard:
    """Return the dashboard."""
    return make_board(
        "overview",
        "Overview",
        "Is the mirror fresh, complete and serving, and does the disk have room?",
        {
            "": [
                listing(
                    "Firing alerts",
                    "Alerts that fire, and since when. docs/alerts.md explains each one.",
                    query=_FIRING,
                    columns={
                        "alertname": "Alert",
                        "of": "Affected",
                        "Value": "Since",
                        "remedy": "What still works, and what to do",
                    },
                    texts={"remedy": REMEDIES},
                ),
                tile(
                    "Alerts",
                    "Number of firing alerts.",
                    unit="none",
                    query='sum(ALERTS{alertname=~"Mirror.+", alertstate="firing"}) or vector(0)',
                    steps=(1, 2),
                ),
                tile(
                    "Last sync",
                    "Time since the last full sync that succeeded or was incomplete.",
                    unit="s",
                    query='time() - max(pypi_mirror_last_completion_timestamp_seconds{kind="sync"})',
                    steps=(3 * _HOUR, _DAY),
                    decimals=0,
                ),
                tile(
                    "Last attempt",
                    "Whether the last full sync finished (succeeded or incomplete) or failed.",
                    unit="none",
                    query='max(pypi_mirror_last_attempt_timestamp_seconds{kind="sync"}) '
                    '> bool max(pypi_mirror_last_completion_timestamp_seconds{kind="sync"}) '
                    'and max(pypi_mirror_last_attempt_timestamp_seconds{kind="sync"}) > 0',
                    steps=(1, 1),
                    none="unknown",
                    words=("finished", "failed"),
                ),
                tile(
                    "Next sync",
                    "Time until the next scheduled sync; unknown if the schedule is off or paused.",
                    unit="s",
                    query="max(pypi_mirror_next_run_timestamp_seconds) - time()",
                    decimals=0,
                    none="unknown",
                ),
                tile(
                    "Syncer",
                    "Whether the syncer answers control. If not, its gauges repeat their last values.",
                    unit="none",
                    query="1 - min(pypi_mirror_syncer_up)",
                    steps=(1, 1),
                    none="control is down",
                    words=("up", "down"),
                ),
                tile(
                    "Upstream errors",
                    "Share of the requests to upstream in five minutes that failed or got no answer.",
                    unit="percentunit",
                    query="max(job:pypi_mirror_upstream_errors_per_request:ratio_rate5m)",
                    steps=(0.01, 0.5),
                    decimals=0,
                    none="no requests",
                ),
                tile(
                    "Served",
                    "Requests per second that nginx answers.",
                    unit="reqps",
                    query="sum(rate(pypi_mirror_served_requests_total[$__rate_interval]))",
                ),
                tile(
                    "Server errors",
                    "Share of the requests for pages and files that failed with 5xx in five minutes, worst route.",
                    unit="percentunit",
                    query='max(job_route:pypi_mirror_served_5xx_per_request:ratio_rate5m{route!="control"})',
                    steps=(0.001, 0.01),
                    decimals=1,
                    none="no requests",
                ),
                tile(
                    "Projects failing",
                    "Projects whose page or files failed; `mirrorctl projects` shows why.",
                    unit="none",
                    query='sum(pypi_mirror_projects{state=~"failing|partial"})',
                    steps=(1, 1000),
                ),
                tile(
                    "Lag",
                    "How many serials the mirror is behind upstream's list. Only with scope everything.",
                    unit="none",
                    query="max(pypi_mirror_upstream_serial) - max(pypi_mirror_serial)",
                    none="unknown",
                ),
                tile(
                    "Disk lasts",
                    "Time until the disk is full at the rate of the last day. Ten years: it is not filling up.",
                    unit="s",
                    query="min(job:pypi_mirror_volume_left_seconds:min)",
                    steps=(30 * _DAY, 4 * _DAY),
                    decimals=0,
                ),
                tile(
                    "Disk free",
                    "Free share of the volume. Syncs fail below MIRROR_DISK_RESERVE (5 % by default).",
                    unit="percentunit",
                    query="min(pypi_mirror_volume_free_bytes / pypi_mirror_volume_size_bytes)",
                    steps=(0.2, 0.06),
                    decimals=1,
                ),
                graph(
                    "Requests",
                    "Requests of clients to the mirror, and of the mirror to upstream.",
                    unit="reqps",
                    queries={
                        "served": "sum(rate(pypi_mirror_served_requests_total[$__rate_interval]))",
                        "to upstream": "sum(rate(pypi_mirror_upstream_requests_total[$__rate_interval]))",
                    },
                    width=24,
                ),
                graph(
                    "Disk over time",
                    "Used and free bytes of the volume; published bytes are the mirror's own part.",
                    unit="bytes",
                    queries={
                        "used": "max(pypi_mirror_volume_size_bytes - pypi_mirror_volume_free_bytes)",
                        "free": "min(pypi_mirror_volume_free_bytes)",
                        "published": "sum(pypi_mirror_stored_bytes)",
                    },
                ),
                graph(
                    "Misses",
                    "Requests a second for pages and files that are not mirrored; `mirrorctl misses` lists the names.",
                    unit="reqps",
                    queries={
                        "{{route}}": "sum by (route) (rate(pypi_mirror_served_requests_total"
                        '{route=~"page|package", status="404"}[$__rate_interval]))'
                    },
                ),
            ],
            "Policy": [
                tile(
                    "Held files",
                    "Files that wait for their cooldown; `mirrorctl held` lists them.",
                    unit="none",
                    query="sum(pypi_mirror_held_files)",
                    none="unknown",
                ),
                tile(
                    "Blocked files",
                    "Files that mirror.toml or an advisory blocks, without projects that are blocked by name.",
                    unit="none",
                    query="sum(pypi_mirror_blocked_files)",
                    none="unknown",
                ),
                tile(
                    "Projects waiting",
                    "Projects whose files all wait or are blocked; their pages are empty.",
                    unit="none",
                    query='sum(pypi_mirror_projects{state="waiting"})',
                    none="unknown",
                ),
                tile(
                    "Next publication",
                    "Time until the next held file is published, or another period of the policy ends.",
                    unit="s",
                    query="min(pypi_mirror_held_next_expiry_timestamp_seconds > 0) - time()",
                    decimals=0,
                    none="none",
                ),
                tile(
                    "Released versions",
                    "Versions that a person let through the cooldown; `mirrorctl release --list` lists them.",
                    unit="none",
                    query="sum(pypi_mirror_released_versions)",
                    none="unknown",
                ),
                tile(
                    "Unusable inputs",
                    "Lock files and advisories that cannot be used or are stale; `mirrorctl status` lists them.",
                    unit="none",
                    query='sum(pypi_mirror_policy_warnings{kind=~"locks|advisories"})',
                    steps=(1, 100),
                    none="unknown",
                ),
                graph(
                    "Held and blocked files",
                    "Files that clients cannot download for now.",
                    unit="none",
                    queries={"held": "sum(pypi_mirror_held_files)", "blocked": "sum(pypi_mirror_blocked_files)"},
                    width=12,
                ),
                graph(
                    "Advisories",
                    "Advisories in force, by kind.",
                    unit="none",
                    queries={"{{kind}}": "sum by (kind) (pypi_mirror_advisories)"},
                    width=12,
                ),
            ],
            "Dependencies": [
                tile(
                    "Lines without proof",
                    "Lines and groups of mirror.toml that cannot be installed on at least one machine.",
                    unit="none",
                    query="sum(pypi_mirror_lines_without_proof)",
                    steps=(1, 100),
                    none="unknown",
                ),
                tile(
                    "Unmet requirements",
                    "Requirements that nothing here satisfies; `mirrorctl projects --unmet` lists them.",
                    unit="none",
                    query="sum(pypi_mirror_unmet_requirements)",
                    none="unknown",
                ),
                tile(
                    "Required projects",
                    "Projects that are mirrored only because selected releases require them.",
                    unit="none",
                    query='sum(pypi_mirror_closure_projects{why="required"})',
                    none="unknown",
                ),
                tile(
                    "Resolving",
                    "Time that the last full sync took to resolve dependencies.",
                    unit="s",
                    query='max(pypi_mirror_run_phase_seconds{kind="sync", phase="resolve"})',
                    decimals=1,
                    none="unknown",
                ),
                graph(
                    "Unmet requirements by reason",
                    "Requirements of kept releases that this mirror does not meet.",
                    unit="none",
                    queries={"{{reason}}": "sum by (reason) (pypi_mirror_unmet_requirements)"},
                    width=12,
                ),
                graph(
                    "Projects by cause",
                    "Projects that a line names, that selected releases require, or that only a lock pins.",
                    unit="none",
                    queries={"{{why}}": "sum by (why) (pypi_mirror_closure_projects)"},
                    width=12,
                ),
            ],
        },
    )

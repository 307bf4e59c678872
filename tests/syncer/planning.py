"""The plan of a mirror host's next sync, as `mirror-syncer plan` reports it."""

from collections.abc import Sequence

from mirror_contract import RunKind, RunRequest
from mirror_syncer.catalog import Catalog
from mirror_syncer.commands.plan_report import Report
from mirror_syncer.commands.planning import make_report
from mirror_syncer.config.mirror_toml.source import PolicySource
from mirror_syncer.config.settings import Settings
from syncer.site import Site


async def planned(
    site: Site,
    *projects: str,
    offline: bool = False,
    reserve: float = 0.0,
    warnings: Sequence[str] = (),
    **more: object,
) -> Report:
    """Return the report of a plan; ``more`` are settings."""
    settings = Settings.model_validate(
        {"data": site.data, "state": site.state, "upstream": site.upstream, "disk_reserve": reserve, **more}
    ).model_copy(update={"file_hosts": ("127.0.0.1",)})
    catalog = Catalog.in_directory(site.state)
    try:
        policy = PolicySource(site.policy, state=site.state, keeps=False).current
        request = RunRequest(kind=RunKind.SYNC, projects=projects or None)
        return await make_report(settings, request, policy=policy, catalog=catalog, offline=offline, warnings=warnings)
    finally:
        catalog.close()

"""The plan of a sync: its projects with their dependencies, and an estimate of each."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from packaging.utils import NormalizedName
from rich.console import Console
from rich.progress import Progress

from mirror_contract import Disk, RunRequest, parse_project_name
from mirror_syncer.catalog import Catalog
from mirror_syncer.commands.estimate import MAX_ESTIMATED_PROJECTS, Estimator, ProjectEstimate, Sums, open_index
from mirror_syncer.commands.plan_dependencies import (
    plan_dependencies,
)
from mirror_syncer.commands.plan_report import Report
from mirror_syncer.config import Policy
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import VolumeError, VolumeMissingError
from mirror_syncer.model.project import BLOCKED, UNSELECTED, ProjectRow
from mirror_syncer.runs.sync.guard import DeletionGuard
from mirror_syncer.runs.sync.plan import Plan, plan_sync
from mirror_syncer.volume import AnyView, open_view
from mirror_syncer.work.catalog_proxy import DirectCatalogProxy
from mirror_syncer.work.transfer import EvidenceReader, UnhashedFiles

_NOT_REQUIRED = "nothing requires it any more"


async def make_report(
    settings: Settings,
    request: RunRequest,
    *,
    policy: Policy,
    catalog: Catalog,
    offline: bool,
    replaceable: Collection[NormalizedName] = (),
    warnings: Sequence[str] = (),
) -> Report:
    """
    Plan a sync and estimate its downloads; nothing is written.

    Dependencies are resolved as the sync would, so that each one is a project of the plan like any other.

    Args:
        policy: with or without the last closure.

    Raises:
        UnreachableError: upstream does not answer.
        MirrorError: a proof needs something that upstream did not deliver.
        VolumeError: the tree is missing or cannot be read.
    """
    rows = {row.name: row for row in catalog.projects.all_rows()}
    only = None if request.projects is None else [parse_project_name(name) for name in request.projects]
    published = DeletionGuard(catalog).count_guarded()
    if policy.dependencies.follow:
        policy = replace(policy, closure=catalog.closures.in_force())
    plan_with = partial(plan_sync, rows=rows, only=only, published=published, replaceable=replaceable)
    last, plan = policy, plan_with(policy)
    view = open_view(settings.location(), scratch=settings.scratch)
    if rows and not view.present:
        raise VolumeMissingError(f"{view.base} has no marker, but the catalog holds projects; is the disk mounted?")
    not_estimated = "upstream was not contacted (--offline)" if offline else _too_many(len(plan.refresh))
    dependencies = None
    async with open_index(settings) if not_estimated is None else nullcontext() as index:
        if policy.dependencies.follow:
            # A sync of one project resolves the dependencies of all lines, too.
            asked = None if _too_many(len(last.wanted)) else index
            dependencies = await plan_dependencies(
                settings, policy, catalog=catalog, view=view, index=asked, refreshed=_names(plan)
            )
            policy = replace(policy, closure=None) if index and not asked else dependencies.policy
            plan = plan_with(policy)
            if dependencies.exceeded:
                not_estimated = "a sync stops at a limit"
            not_estimated = not_estimated or _too_many(len(plan.refresh))
        if index is not None and not_estimated is None:
            judge = EvidenceReader(
                index=index,
                view=view,
                unhashed=UnhashedFiles(settings.without_hash, upstream=settings.upstream, digest_of=view.other_digest),
                kept=DirectCatalogProxy(catalog).kept,
                stale_waits=(),
            )
            estimator = Estimator(policy=policy, catalog=catalog, view=view, judge=judge, with_files=only is not None)
            with _progress(len(plan.refresh)) as progress:
                projects = await estimator.estimate(plan, at_once=settings.connections, progress=progress)
        else:
            projects = [ProjectEstimate(step.name, "refresh", step.reason) for step in plan.refresh]
    return Report(
        (*projects, *_list_others(plan, rows, policy, last)),
        _read_disk(view),
        settings.disk_reserve,
        not_estimated,
        tuple(warnings),
        dependencies,
        {name: found for name in only or () if (found := dependencies and dependencies.releases(name))},
    )


def _names(plan: Plan) -> list[NormalizedName]:
    return [step.name for step in plan.refresh]


def _too_many(projects: int) -> str | None:
    if projects <= MAX_ESTIMATED_PROJECTS:
        return None
    return f"an estimate covers at most {MAX_ESTIMATED_PROJECTS:,} projects; name some projects"


def _list_others(plan: Plan, rows: dict[Any, ProjectRow], policy: Policy, last: Policy) -> Iterator[ProjectEstimate]:
    required = frozenset(() if last.closure is None else last.closure.required) - policy.projects.keys()

    def blocked(name: NormalizedName) -> str | None:
        reason = policy.blocked_names.reason(name)
        return None if reason is None else f"{BLOCKED}: {reason}"

    def unselected(name: NormalizedName) -> str:
        return _NOT_REQUIRED if name in required else UNSELECTED

    for name in plan.withdraw:
        row = rows[name]
        sums = Sums(leaving_files=row.file_count, leaving_bytes=row.stored_bytes)
        yield ProjectEstimate(name, "withdraw", blocked(name) or unselected(name), sums)
    for name in plan.withheld:
        sums = Sums(have_files=rows[name].file_count)
        yield ProjectEstimate(name, "withheld", f"{unselected(name)}; the deletion guard keeps it", sums)
    for name in plan.unselected:
        yield ProjectEstimate(name, "none", blocked(name) or "not selected")


def _read_disk(view: AnyView) -> Disk | None:
    try:
        return view.disk()
    except VolumeError:
        return None


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar if standard error is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("asking upstream", total=total)
        yield lambda done: progress.update(bar, completed=done)

"""What the outcome of a task adds to its run: counts, changes, failures, and what upstream said."""

from packaging.utils import NormalizedName

from mirror_contract import ProjectState, RunChange
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.context import RunContext
from mirror_syncer.runs.queue import Action, Task
from mirror_syncer.work.transfer import Outcome


def count_outcome(task: Task, run: ActiveRun, outcome: Outcome, *, context: RunContext) -> None:
    """Count the outcome of a task; failures that an earlier task of the project reported are not repeated."""
    counts, row, tally = run.progress.counts, outcome.row, outcome.tally
    again = task.action in (Action.SHRINK, Action.JUDGE) or task.name in run.sync.failed_judgements
    if task.action is Action.JUDGE and outcome.failures:
        run.sync.failed_judgements.add(task.name)
    known = run.report.failures if again else ()
    failures = [failure for failure in outcome.failures if failure not in known]
    if repeated := bool(outcome.failures) and not failures:
        tally.failures.clear()
    run.sync.upstream_news = run.sync.upstream_news or outcome.news
    counts.projects_changed += outcome.publication.staged is not None
    if outcome.publication.staged is not None or outcome.publication.withdrawn:
        context.project_list.mark_changed()
        run.report.add_change(
            RunChange(
                project=row.name,
                newest_version=row.newest_version,
                files_fetched=tally.fetched,
                bytes_fetched=tally.fetched_bytes,
                withdrawn=outcome.publication.withdrawn,
            )
        )
    counts.projects_partial += row.state is ProjectState.PARTIAL and not repeated
    # A page that is older than the list says is behind, which is no failure.
    if failures and row.state in (ProjectState.FAILING, ProjectState.BEHIND):
        count_failure(run, task.name)
    if outcome.page_failed:
        run.sync.failed_requests.pages[row.name] = row.error or "its page failed before"
    if outcome.gone and not run.sync.whole_index:
        run.sync.gone.append(row.name)
    counts.projects_withdrawn += outcome.publication.withdrawn
    counts.files_fetched += tally.fetched
    counts.files_failed += len(tally.failures)
    counts.bytes_fetched += tally.fetched_bytes
    context.metrics.count_transfers(tally)
    if outcome.altered:
        context.metrics.count_damage("altered")
    run.report.add(*failures)


def count_failure(run: ActiveRun, name: NormalizedName) -> None:
    """Count a project as failed, once in a run."""
    run.progress.counts.projects_failed += name not in run.sync.failed_projects
    run.sync.failed_projects.add(name)

"""The lines of the selection: those of ``mirror.toml``, and those that people add and remove through the API."""

import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from threading import Lock
from typing import NamedTuple

import structlog
from packaging.utils import NormalizedName
from pydantic import Field

from mirror_contract import AddedLine, AddedLineRequest, LineSource, SelectedLine
from mirror_contract.added_line import MAX_ADDED_LINES
from mirror_syncer.catalog import StoredAddedLine
from mirror_syncer.config import Policy, decide
from mirror_syncer.config.mirror_toml.added_lines import idle_added_lines
from mirror_syncer.config.mirror_toml.project_line import parse_root
from mirror_syncer.config.policy.contradictory_rules import contradictory_rules
from mirror_syncer.model.page import Page, ProjectStatus
from mirror_syncer.service.assembly import Mirror
from mirror_syncer.service.problems import ProblemError, invalid_request

log = structlog.get_logger()

LINE_PLACE = re.compile(r"0/\d{1,7}|1/[a-z0-9](?:-?[a-z0-9])*", re.ASCII)
"""A place in the list, as ``next`` gives it: the number of a line of the file, or the project of an added one."""
_PLACE = "#/line"
_MAX_WARNINGS = 5


class Candidate(NamedTuple):
    """A line that may be added, and the policy that would then be in force."""

    row: StoredAddedLine
    policy: Policy
    warnings: list[str]


class ListedLine(SelectedLine):
    """A line with its place in the list."""

    place: str = Field(exclude=True)


class SelectionLines:
    """
    Lists, adds and removes lines; each change is in the policy at once, and a run then applies it.

    Its methods block for the catalog and the disk.
    """

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._added_lines = mirror.catalog.added_lines
        self._changing = Lock()

    def list_all(self, *, after: str | None, limit: int) -> list[ListedLine]:
        """Return the lines of ``mirror.toml`` in their order, then the added ones by project."""
        in_file = (
            ListedLine(
                place=f"0/{number}",
                line=line.name,
                latest=line.latest,
                project=line.root.name,
                source=LineSource.FILE,
            )
            for number, line in enumerate(self._mirror.policy.file_lines)
        )
        added = (
            ListedLine(
                place=f"1/{row.project}",
                line=row.line,
                project=row.project,
                source=LineSource.ADDED,
                because=row.because,
                by=row.by,
                made_at=datetime.fromtimestamp(row.made_at, UTC),
            )
            for row in self._added_lines.all()
        )
        kind, _, last = (after or "0/-1").partition("/")
        rest = [] if kind == "1" else [line for line in in_file if int(line.place[2:]) > int(last)]
        rest += [line for line in added if kind == "0" or line.project > last]
        return rest[:limit]

    def judge(self, request: AddedLineRequest, *, by: str) -> Candidate:
        """
        Judge a line by the policy that the next run puts into force, and by no page.

        Args:
            by: the name of the person's token.

        Raises:
            ProblemError: it cannot be read, or would publish nothing, and why.
        """
        try:
            name = parse_root(request.line).name
        except ValueError as error:
            raise invalid_request(_PLACE, str(error)) from None
        row = StoredAddedLine(name, request.line, request.because, by, int(time.time()))
        others = tuple(other.added_line for other in self._added_lines.all() if other.project != name)
        before = self._mirror.policy.on_disk(added=others)
        if before.everything:
            problem = 'scope = "everything" mirrors each project of upstream\'s list, so no line is added'
            raise ProblemError(HTTPStatus.CONFLICT, f"{problem}; {_remedy(before, name)}.")
        if (reason := before.blocked_names.reason(name)) is not None:
            problem = f"{name} is blocked in mirror.toml: {reason}; remove it from [block] first"
            raise ProblemError(HTTPStatus.CONFLICT, f"{problem}.")
        if (idle := next(idle_added_lines(before, [row.added_line]), None)) is not None:
            raise invalid_request(_PLACE, idle)
        after = self._mirror.policy.on_disk(added=(*others, row.added_line))
        known = set(contradictory_rules(before))
        warnings = [warning for warning in contradictory_rules(after) if warning not in known]
        if after.projects == before.projects and after.lines == before.lines:
            warnings.append("mirror.toml has this line, too")
        return Candidate(row, after, warnings[:_MAX_WARNINGS])

    def judge_page(self, candidate: Candidate, page: Page) -> list[str]:
        """
        Return what a line does not publish of a project, by upstream's page.

        Raises:
            ProblemError: upstream quarantined the project.
        """
        name, line = candidate.row.project, candidate.row.line
        if page.status is ProjectStatus.QUARANTINED:
            raise ProblemError(HTTPStatus.CONFLICT, f"upstream quarantined {name}, so nothing of it is mirrored.")
        policy = candidate.policy.project(name)
        if policy is None or not page.files:
            return [f"upstream has no file of {name} yet"]
        # Whether its dependencies are met is for the run to find out.
        decision = decide(page, None, replace(policy, closure=None), now=int(time.time()))
        if decision.keep:
            return []
        if decision.problem is not None:
            return [decision.problem]
        first = next((file.reason for file in decision.files), "no file is selected")
        return [f"{line!r} publishes nothing now: {first}"]

    def add(self, candidate: Candidate, *, may_replace: bool) -> AddedLine:
        """
        Put a line into force, in place of an earlier one for its project.

        Args:
            may_replace: whether the person may remove what only the earlier line selects.

        Raises:
            ProblemError: there are as many lines as there may be, or another one may not be replaced.
        """
        row, warnings = candidate.row, list(candidate.warnings)
        with self._changing:
            before = self._added_lines.get(row.project)
            if before is None and self._added_lines.count() >= MAX_ADDED_LINES:
                problem = f"{MAX_ADDED_LINES:,} lines were added, which is the limit"
                remedy = "move some into mirror.toml (`mirrorctl selection --toml`), and remove them here"
                raise ProblemError(HTTPStatus.CONFLICT, f"{problem}; {remedy}.")
            if before is not None and (before.line, before.because, before.by) == (row.line, row.because, row.by):
                row = before  # the same call again
            elif before is not None and before.line != row.line and not may_replace:
                problem = (
                    f"{before.by} added {before.line!r} ({before.because}), and another line may remove files of it"
                )
                raise ProblemError(HTTPStatus.FORBIDDEN, f"{problem}; that needs a token with the right remove.")
            else:
                self._added_lines.put(row)
                if before is not None:
                    warnings.append(f"it replaces {before.line!r}, which {before.by} added ({before.because})")
            self._put_into_force()
        log.info("line added", project=row.project, line=row.line, because=row.because)
        return _document(row, warnings)

    def remove(self, name: NormalizedName) -> AddedLine:
        """
        Remove the added line of a project.

        Raises:
            ProblemError: nobody added one, and what selects the project instead.
        """
        with self._changing:
            row = self._added_lines.get(name)
            if row is None:
                raise self._not_added(name)
            self._added_lines.remove(name)
            self._put_into_force()
        selection = self._mirror.policy.current.projects.get(name)
        warnings = [] if selection is None else [f"mirror.toml still selects {name}, by {selection.words}"]
        log.info("line removed", project=name, line=row.line)
        return _document(row, warnings)

    def _put_into_force(self) -> None:
        self._mirror.policy.add(self._added_lines.in_force())

    def _not_added(self, name: NormalizedName) -> ProblemError:
        """Return the problem that there is no added line to remove."""
        policy = self._mirror.policy.on_disk()
        if (selection := policy.projects.get(name)) is not None:
            return ProblemError(
                HTTPStatus.CONFLICT, f"mirror.toml selects {name} by {selection.words}; remove that line there."
            )
        problem = f"No line was added for {name}"
        if (wanted := policy.project(name)) is not None:
            problem += f"; it is mirrored because of {wanted.selection.line}"
        return ProblemError(HTTPStatus.NOT_FOUND, f"{problem}.")


def _remedy(policy: Policy, name: NormalizedName) -> str:
    """Return what to do instead of adding a line to a mirror of everything."""
    if policy.project(name) is not None:
        return f"it selects {name} already, and `mirrorctl sync {name}` looks for news of it"
    return f"its include and exclude leave {name} out; change them, or give it a line in mirror.toml"


def _document(row: StoredAddedLine, warnings: list[str]) -> AddedLine:
    return AddedLine(
        line=row.line,
        project=row.project,
        because=row.because,
        by=row.by,
        made_at=datetime.fromtimestamp(row.made_at, UTC),
        warnings=warnings,
    )

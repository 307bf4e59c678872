"""The dependency closure in force, as status, metrics and lists show it."""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from operator import itemgetter
from typing import NamedTuple

from packaging.utils import NormalizedName
from pydantic import Field

from mirror_contract import DependencySummary, SelectionCause, UnmetReason, UnmetRequirement
from mirror_syncer.catalog import Catalog
from mirror_syncer.config import Policy
from mirror_syncer.config.mirror_toml.source import PolicySource
from mirror_syncer.config.policy.closure import NO_CLOSURE, Closure, Unmet

UNMET_PLACE = re.compile(r"([01])/([a-z0-9](?:-?[a-z0-9])*)/(\d{1,9})", re.ASCII)
"""A place in the list of unmet requirements, as ``next`` gives it."""
_SHOWN_WITHOUT_PROOF = 20


class _Place(NamedTuple):
    """A place in the list of unmet requirements."""

    is_requirement: bool
    """False: a line or a group without a proof; these come first."""
    project: str
    number: int
    """Among those of the project, in the order of the resolution."""

    @classmethod
    def parse(cls, text: str) -> "_Place":
        found = UNMET_PLACE.fullmatch(text)
        assert found, text
        return cls(found[1] == "1", found[2], int(found[3]))

    def __str__(self) -> str:
        return f"{self.is_requirement:d}/{self.project}/{self.number}"


class ListedUnmet(UnmetRequirement):
    """An unmet requirement with its place in the list."""

    place: str = Field(exclude=True)


class ClosureFacts:
    """
    The figures and lists of one closure, each computed once: it may have thousands of projects.

    Args:
        policy: with the closure in force.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.closure: Closure = policy.closure or NO_CLOSURE

    @cached_property
    def projects(self) -> dict[SelectionCause, int]:
        """Return the numbers of mirrored projects by cause; none while dependencies are not followed."""
        causes = Counter(map(self._cause, self.policy.wanted)) if self.policy.dependencies.follow else {}
        return {cause: causes.get(cause, 0) for cause in SelectionCause}

    @cached_property
    def unmet(self) -> dict[UnmetReason, int]:
        """Return the numbers of unmet requirements by reason; lines and groups without a proof count once each."""
        reasons = Counter(one.reason for one in self.closure.unmet)
        return {reason: reasons[reason] for reason in UnmetReason} | {UnmetReason.NO_PROOF: len(self.without_proof)}

    @cached_property
    def without_proof(self) -> dict[str, Unmet]:
        """Return the lines and groups that cannot be installed on some machine, each with its first reason."""
        found: dict[str, Unmet] = {}
        for one in self.closure.unmet:
            if one.reason is UnmetReason.NO_PROOF:
                found.setdefault(one.requirement, one)
        return found

    @cached_property
    def lines(self) -> int:
        """Return how many lines and groups must be installable."""
        return len(self.policy.roots)

    @cached_property
    def listed(self) -> list[tuple[_Place, Unmet]]:
        """Return all unmet requirements with their places: lines and groups without a proof first, then by project."""
        numbers, found = Counter[str](), list[tuple[_Place, Unmet]]()
        for one in self.closure.unmet:
            found.append((_Place(one.reason is not UnmetReason.NO_PROOF, one.project, numbers[one.project]), one))
            numbers[one.project] += 1
        return sorted(found, key=itemgetter(0))

    @cached_property
    def unmet_of(self) -> dict[NormalizedName, list[Unmet]]:
        """Return what is unmet of the releases of each project."""
        found: dict[NormalizedName, list[Unmet]] = {}
        for one in self.closure.unmet:
            found.setdefault(one.project, []).append(one)
        return found

    def _cause(self, name: NormalizedName) -> SelectionCause:
        if name in self.policy.projects:
            return SelectionCause.LINE
        project = self.closure.projects.get(name)
        return SelectionCause.REQUIRED if project is not None and project.rules else SelectionCause.LOCK


class ClosureReader:
    """Reads the closure in force; nothing is decoded or computed again until it is replaced."""

    def __init__(self, policy: PolicySource, catalog: Catalog) -> None:
        self._policy = policy
        self._catalog = catalog
        self._facts = ClosureFacts(policy.current)

    @property
    def facts(self) -> ClosureFacts:
        """Return the facts about the policy in force."""
        policy = self._policy.current
        if self._facts.policy is not policy:
            self._facts = ClosureFacts(policy)
        return self._facts

    def summary(self) -> DependencySummary | None:
        """Return the summary, or None if dependencies are not followed."""
        facts = self.facts
        if not facts.policy.dependencies.follow:
            return None
        resolved_at = None if facts.policy.awaits_closure else self._catalog.closures.resolved_at()
        return DependencySummary(
            resolved_at=None if resolved_at is None else datetime.fromtimestamp(resolved_at, UTC),
            projects=facts.projects,
            lines=facts.lines,
            lines_without_proof=len(facts.without_proof),
            without_proof=[
                unmet_requirement(one) for one in islice(facts.without_proof.values(), _SHOWN_WITHOUT_PROOF)
            ],
            proofs=len(facts.closure.proofs),
            unmet=facts.unmet,
        )

    def list_unmet(
        self,
        *,
        reasons: Collection[UnmetReason] = (),
        project: NormalizedName | None = None,
        after: str | None = None,
        limit: int,
    ) -> list[ListedUnmet]:
        """
        Return unmet requirements: lines and groups without a proof first, then by project.

        Args:
            reasons: only these; empty: all.
            project: only requirements of its releases, or of lines that name it.
            after: the place of the last item of the part before.
        """
        listed = self.facts.listed
        start = 0 if after is None else bisect_right(listed, _Place.parse(after), key=itemgetter(0))
        wanted = (
            ListedUnmet(place=str(place), **unmet_requirement(one).model_dump())
            for place, one in islice(listed, start, None)
            if project in (None, one.project) and (not reasons or one.reason in reasons)
        )
        return list(islice(wanted, limit))


def unmet_requirement(unmet: Unmet) -> UnmetRequirement:
    """Return an unmet requirement as the API shows it."""
    return UnmetRequirement(
        project=unmet.project,
        version=unmet.version,
        requirement=unmet.requirement,
        machines=list(unmet.machines),
        reason=unmet.reason,
        message=unmet.message,
    )

"""Releases: a person releases a version from the cooldown, or revokes that."""

import secrets
import time
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from threading import Lock

import structlog
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_contract import Choice, Release, ReleaseRequest
from mirror_contract.distributions import read_version
from mirror_contract.release import MAX_RELEASES
from mirror_syncer.catalog import StoredExemption
from mirror_syncer.config import ProjectPolicy
from mirror_syncer.errors import PathError
from mirror_syncer.model.decision import Decision, FileDecision
from mirror_syncer.model.page import ProjectStatus
from mirror_syncer.publish import find_published
from mirror_syncer.runs.confirmation import not_selected
from mirror_syncer.service.assembly import Mirror
from mirror_syncer.service.problems import ProblemError, invalid_request
from mirror_syncer.service.status import StatusReader

log = structlog.get_logger()

_PLACE = "#/requirement"
_MAX_VERSIONS_SHOWN = 5


class Releases:
    """
    Adds, lists and removes releases; each change is in the policy at once, and a run then applies it.

    Its methods block for the catalog and the disk.
    """

    def __init__(self, mirror: Mirror, status_reader: StatusReader) -> None:
        self._mirror = mirror
        self._exemptions = mirror.catalog.exemptions
        self._status_reader = status_reader
        self._changing = Lock()

    def list_all(self) -> list[Release]:
        """Return the releases in force, oldest first."""
        return [_document(row) for row in self._exemptions.live(now=int(time.time()))]

    def add(self, request: ReleaseRequest, *, by: str) -> Release:
        """
        Release a version; this replaces an earlier release of it.

        Args:
            by: the name of the person's token.

        Raises:
            ProblemError: it would publish nothing, and why.
        """
        now = int(time.time())
        row = StoredExemption(
            id=secrets.token_hex(4),
            project=request.project,
            specifier=str(request.specifier),
            because=request.because,
            by=by,
            made_at=now,
            until=now + int(request.duration.total_seconds()),
        )
        warnings = self._judge(row)
        with self._changing:
            if self._exemptions.count(now=now) >= MAX_RELEASES:
                problem = f"{MAX_RELEASES} releases are in force, which is the limit; revoke some first."
                raise ProblemError(HTTPStatus.CONFLICT, problem)
            self._exemptions.add(row, now=now)
            self._mirror.policy.release(self._exemptions.released(now=now))
        document = _document(row, warnings)
        log.info("released", id=row.id, requirement=document.requirement, until=document.until, because=row.because)
        return document

    def remove(self, identifier: str) -> Release:
        """
        Revoke a release.

        Raises:
            ProblemError: none in force has this id.
        """
        now = int(time.time())
        with self._changing:
            row = self._exemptions.remove(identifier, now=now)
            if row is None:
                raise ProblemError(HTTPStatus.NOT_FOUND, f"No release in force has the id {identifier[:40]!r}.")
            self._mirror.policy.release(self._exemptions.released(now=now))
        document = _document(row)
        log.info("release revoked", id=row.id, requirement=document.requirement)
        return document

    def _judge(self, row: StoredExemption) -> list[str]:
        """
        Return what a release does not change.

        Raises:
            ProblemError: it would publish nothing.
        """
        name, wanted = row.project, f"{row.project}{row.specifier}"
        if (blocked := self._status_reader.blocked_because(name)) is not None:
            raise _conflict(f"{name} is {blocked}", "a block beats every release; remove the line from [block] first")
        policy = self._mirror.policy.current.project(name)
        if policy is None:
            raise invalid_request(_PLACE, not_selected(name))
        project = self._mirror.catalog.projects.get(name)
        before = None if project is None else self._decide(name, policy)
        if before is not None and before.page.status is ProjectStatus.QUARANTINED:
            raise _conflict(f"upstream quarantined {name}", "a quarantine beats every release")
        if before is None or not any(before.files):
            raise invalid_request(_PLACE, f"no page of {name} was read yet; run `mirrorctl sync {name}` first")
        specifier = SpecifierSet(row.specifier)
        versions = {version for file in before.files if (version := _version(name, file)) is not None}
        if not any(specifier.contains(version, prereleases=True) for version in versions):
            known = ", ".join(str(version) for version in sorted(versions, reverse=True)[:_MAX_VERSIONS_SHOWN])
            problem = (
                f"upstream's page of {name}, as it was last read, has no {wanted}; its newest are {known or 'none'}"
            )
            raise invalid_request(_PLACE, f"{problem}. If it was uploaded since, run `mirrorctl sync {name}` first")

        def is_named(file: FileDecision) -> bool:
            version = _version(name, file)
            return version is not None and specifier.contains(version, prereleases=True)

        released = replace(policy, exemptions=(*policy.exemptions, row.exemption))
        after = [file for file in self._decide(name, released).files if is_named(file)]
        others = [file for file in after if file.choice is not Choice.KEEP]
        if len(others) == len(after):
            raise _conflict(f"{wanted} stays unpublished: {others[0].reason}", "a release does not change that")
        warnings = [f"{file.filename} stays unpublished: {file.reason}" for file in others[:_MAX_VERSIONS_SHOWN]]
        if all(file.choice is Choice.KEEP for file in before.files if is_named(file)):
            warnings.append(f"{wanted} needs no release: nothing holds it")
        return warnings

    def _decide(self, name: NormalizedName, policy: ProjectPolicy) -> Decision:
        project = self._mirror.catalog.projects.get(name)
        assert project is not None
        try:
            published = find_published(self._mirror.volume, name)
        except PathError as error:
            raise ProblemError(HTTPStatus.CONFLICT, f"{error}; repair it, then release the version.") from None
        return self._status_reader.decide(project, policy, published)


def _conflict(problem: str, rule: str) -> ProblemError:
    return ProblemError(HTTPStatus.CONFLICT, f"{problem}; {rule}.")


def _document(row: StoredExemption, warnings: list[str] | None = None) -> Release:
    return Release(
        id=row.id,
        requirement=f"{row.project}{row.specifier}",
        project=row.project,
        because=row.because,
        by=row.by,
        made_at=datetime.fromtimestamp(row.made_at, UTC),
        until=datetime.fromtimestamp(row.until, UTC),
        warnings=warnings or [],
    )


def _version(name: NormalizedName, file: FileDecision) -> Version | None:
    return None if file.file is None else read_version(name, file.filename)

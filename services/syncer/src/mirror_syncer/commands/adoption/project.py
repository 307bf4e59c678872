"""The adoption of one project: turns another program's page into a publication, by hard links."""

import dataclasses
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from msgspec.structs import replace
from packaging.utils import NormalizedName

from mirror_contract import Failure, ProjectState
from mirror_syncer.catalog import Catalog
from mirror_syncer.commands.adoption.contents import hash_file, is_same_file, read_metadata_file, sha256
from mirror_syncer.commands.adoption.source import OldFile, OldTree
from mirror_syncer.config import Age, Policy, ProjectPolicy, decide
from mirror_syncer.errors import FileRejectedError, InvalidPageError, PathError
from mirror_syncer.model.names import (
    PackagePath,
    Sha256,
    content_digest,
    full_path,
    parse_package_path,
    short_path,
)
from mirror_syncer.model.page import File
from mirror_syncer.model.project import CatalogUpdate, Pending, ProjectRow, Retirement
from mirror_syncer.publish import Publication, newest_version, render_page
from mirror_syncer.volume import Volume, wheel_metadata

_SHORT_PATH = re.compile(r"packages/([0-9a-f]{2})/[^/]+")  # this program's own; the rest of the digest is unknown
ADOPTED = "adopted; the next sync downloads what is missing"


class AdoptionResult(StrEnum):
    """The result of a project's adoption."""

    ADOPTED = "adopted"
    KEPT = "kept"  # this mirror publishes it already, or has withdrawn it
    UNSELECTED = "unselected"
    FAILED = "failed"


@dataclass(slots=True)
class Outcome:
    """The outcome of a project's adoption."""

    name: NormalizedName
    result: AdoptionResult
    publication: Publication | None = None
    files: int = 0
    """Files that were linked, or were linked before."""
    stored_bytes: int = 0
    withheld: int = 0
    """Files that the policy leaves out; they stay where they are."""
    failures: list[Failure] = field(default_factory=list)
    """The files that could not be adopted, or why the project could not."""


@dataclass(slots=True)
class _Candidate:
    """A file that the old page names and the old tree holds."""

    file: File
    found: OldFile
    places: tuple[PackagePath, ...]
    """Its possible places, the preferred one first."""
    old: PackagePath | None
    """Its old place, if the old tree is the mirror's own."""


class ProjectAdoption:
    """
    Adopts projects, one call each. It blocks for the disk and is thread-safe.

    Args:
        in_place: the old tree is this volume's own.
        resumed: an interrupted attempt left intents in the catalog.
        hashing: hash each file before adopting it.
        volume: None for a dry run, which changes nothing.
    """

    def __init__(
        self,
        *,
        old: OldTree,
        policy: Policy,
        catalog: Catalog,
        volume: Volume | None,
        in_place: bool,
        resumed: bool,
        hashing: bool,
    ) -> None:
        self._old = old
        self._policy = policy
        self._catalog = catalog
        self._volume = volume
        self._in_place = in_place
        self._resumed = resumed
        self._hashing = hashing

    def adopt(self, name: NormalizedName, directory: Path) -> Outcome:
        """
        Link a project's files and stage its page; both become visible when the publication's group is committed.

        The catalog records each place before a file is linked there, so an interrupted adoption can be resumed.

        Raises:
            VolumeError: the disk failed.
        """
        try:
            return self._adopt(name, directory)
        except PathError as error:
            return _failure(name, str(error))

    def _adopt(self, name: NormalizedName, directory: Path) -> Outcome:
        policy = self._policy.project(name)
        if policy is None:
            return Outcome(name, AdoptionResult.UNSELECTED)
        row = self._catalog.projects.get(name)
        if row is not None and (row.published or row.state is ProjectState.WITHDRAWN):
            return Outcome(name, AdoptionResult.KEPT)
        if self._volume is not None and (ours := self._volume.page_directory(name)).is_symlink():
            return _failure(name, f"{ours} is a symlink; remove it")
        try:
            page = self._old.read(name, directory)
        except InvalidPageError as error:
            return _failure(name, str(error))
        # HTML pages have no upload times, so the cooldown begins with the first sync; until then all files are served.
        decision = decide(page, None, _without_age(policy), now=int(time.time()))
        outcome = Outcome(name, AdoptionResult.ADOPTED, withheld=decision.left_out)
        wrong_files = list[Retirement]()
        for refusal in page.refused:
            outcome.failures.append(Failure(project=name, file=refusal.filename, reason=refusal.reason))
        candidates = list(self._find_candidates(name, decision.keep, outcome, wrong_files))
        if self._volume is None:
            linked = [(candidate.file, candidate.places[0]) for candidate in candidates]
        else:
            linked = list(self._link_files(self._volume, name, candidates, outcome))
        if not linked and outcome.failures:
            # An empty page helps nobody: the old one stays until the next sync.
            outcome.result = AdoptionResult.FAILED
            return outcome
        outcome.files = len(linked)
        outcome.stored_bytes = sum(file.size or 0 for file, _ in linked)
        if self._volume is not None:
            # Without a serial, which would claim that every file up to it is here; some may be missing.
            rendered = render_page(dataclasses.replace(page, serial=None), linked)
            row = ProjectRow(
                name,
                file_count=len(linked),
                stored_bytes=outcome.stored_bytes,
                withheld_files=outcome.withheld,
                missing_files=len(outcome.failures),
                published=True,
                changed_at=int(time.time()),
                error=ADOPTED,
                page_sha256=rendered.digest,
                newest_version=newest_version(name, (file for file, _ in linked)),
            )
            catalog_update = CatalogUpdate(
                row,
                read=True,
                retirements=(*wrong_files, *self._retire_old_names(self._volume, name, candidates, linked)),
                returned=tuple(place for _, place in linked),
            )
            outcome.publication = Publication(catalog_update, self._volume.stage(name, rendered))
        return outcome

    def _find_candidates(
        self, name: NormalizedName, files: tuple[File, ...], outcome: Outcome, wrong_files: list[Retirement]
    ) -> Iterator[_Candidate]:
        """Yield the files that match the page; add the others to ``wrong_files``, so that they leave."""
        for file in files:
            found = self._old.find_file(file)
            if found is None:
                outcome.failures.append(Failure(project=name, file=file.filename, reason="not in the old tree"))
                continue
            old = _package_path(found.place) if self._in_place else None
            try:
                places = self._list_places(file, found)
            except FileRejectedError as error:
                outcome.failures.append(Failure(project=name, file=file.filename, reason=str(error)))
                if old is not None:
                    # nginx tries the long path first; the wrong file there must not hide what the next sync downloads.
                    wrong_files.append(self._retirement(name, old, file.sha256, size=found.stat.st_size))
                continue
            # An HTML page gives no sizes.
            yield _Candidate(replace(file, size=found.stat.st_size), found, places, old)

    def _list_places(self, file: File, found: OldFile) -> tuple[PackagePath, ...]:
        """Return the possible places of a file; hash it if its old path does not contain its digest."""
        if file.size is not None and found.stat.st_size != file.size:
            raise FileRejectedError(
                f"wrong size: the page says {file.size:,} bytes, the file has {found.stat.st_size:,}"
            )
        address, short = content_digest(f"/{found.place}"), _SHORT_PATH.fullmatch(found.place)
        if self._hashing or (address is None and short is None):
            sha256, blake2b = hash_file(found.path)
            if sha256 != file.sha256:
                raise FileRejectedError(f"wrong content: the page says sha256 {file.sha256}, the file has {sha256}")
            address = address or blake2b
        if address is None:
            assert short is not None
            return (short_path(short[1], file.filename),)
        return short_path(address, file.filename), full_path(address, file.filename)

    def _link_files(
        self, volume: Volume, name: NormalizedName, candidates: list[_Candidate], outcome: Outcome
    ) -> Iterator[tuple[File, PackagePath]]:
        """Link the files with their metadata; yield each as the page names it from now on."""
        # Also record the old names: if a crash hits between page and row, they still leave.
        old_names = [
            Pending(name, candidate.old, candidate.file.sha256) for candidate in candidates if candidate.old is not None
        ]
        wanted = [Pending(name, candidate.places[0], candidate.file.sha256) for candidate in candidates]
        taken = self._catalog.files.claim([*old_names, *wanted])
        for candidate in candidates:
            try:
                volume.check_name(candidate.file.filename)
                place = self._link_file(volume, name, candidate, taken)
                file = self._link_metadata(volume, name, candidate, place)
            except (FileRejectedError, PathError) as error:
                outcome.failures.append(Failure(project=name, file=candidate.file.filename, reason=str(error)))
            else:
                yield file, place

    def _link_file(
        self, volume: Volume, name: NormalizedName, candidate: _Candidate, taken: set[PackagePath]
    ) -> PackagePath:
        for number, place in enumerate(candidate.places):
            if number and place != candidate.old:
                taken |= self._catalog.files.claim([Pending(name, place, candidate.file.sha256)])
            if place in taken or (number and hash_file(candidate.found.path)[1] != content_digest(f"/{place}")):
                continue  # a full path holds only the content that its digest names
            if (
                volume.link(candidate.found.path, place, known=candidate.found.stat)
                or volume.digest(place) == candidate.file.sha256
            ):
                return place
        raise FileRejectedError(
            "both possible paths hold other content or metadata, and a URL never changes its content"
        )

    def _link_metadata(self, volume: Volume, name: NormalizedName, candidate: _Candidate, place: PackagePath) -> File:
        """
        Store the metadata that the old page promises; return the file with the metadata that it really has.

        Clients fail on a wrong promise, so each metadata file is hashed. If the old page gives no digest, the metadata
        comes from the wheel, not from the file beside it.
        """
        promised, path = candidate.file.core_metadata, candidate.found.path
        if not promised or not volume.keeps_metadata(candidate.file.filename):
            return replace(candidate.file, core_metadata=False)
        beside = f"{path}.metadata"
        body = read_metadata_file(beside) if isinstance(promised, str) else None
        link = body is not None and sha256(body) == promised
        if not link:
            body = wheel_metadata(Path(path)) if path.endswith(".whl") else None
        if body is None or (promised is not True and sha256(body) != promised):
            return replace(candidate.file, core_metadata=False)
        digest = sha256(body)
        link = link and volume.link_metadata(beside, place)
        if not link and volume.digest(PackagePath(f"{place}.metadata")) != digest:
            volume.write_metadata(name, place, body)
        return replace(candidate.file, core_metadata=digest)

    def _retire_old_names(
        self,
        volume: Volume,
        name: NormalizedName,
        candidates: list[_Candidate],
        linked: list[tuple[File, PackagePath]],
    ) -> Iterator[Retirement]:
        """Yield the retirement of each old name, of this attempt and of an interrupted one."""
        places = {file.filename: place for file, place in linked}
        done = set(places.values())
        for candidate in candidates:
            if candidate.old is not None and candidate.old not in done and candidate.file.filename in places:
                done.add(candidate.old)
                yield self._retirement(name, candidate.old, candidate.file.sha256)
        contents = {file.sha256: volume.path(place) for file, place in linked} if self._resumed else {}
        for intent in self._catalog.files.pending(name) if self._resumed else ():
            if intent.place not in done:
                now, path = contents.get(intent.sha256), volume.path(intent.place)
                if (now is not None and is_same_file(path, now)) or volume.digest(intent.place) == intent.sha256:
                    yield self._retirement(name, intent.place, intent.sha256)

    def _retirement(self, name: NormalizedName, place: PackagePath, sha256: Sha256, *, size: int = 0) -> Retirement:
        """Return the retirement of a place; size 0, because most are second hard links, which free no space."""
        now = int(time.time())
        due_at = now + int(self._policy.removal.grace.total_seconds())
        return Retirement(name, place, sha256, due_at=due_at, retired_at=now, size=size)


def _without_age(policy: ProjectPolicy) -> ProjectPolicy:
    return dataclasses.replace(policy, rules=dataclasses.replace(policy.rules, age=Age()))


def _failure(name: NormalizedName, reason: str) -> Outcome:
    return Outcome(name, AdoptionResult.FAILED, failures=[Failure(project=name, reason=reason)])


def _package_path(place: str) -> PackagePath | None:
    try:
        return parse_package_path(place)
    except FileRejectedError:
        return None

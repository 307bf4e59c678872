"""One project: from the page that another program left to a publication of ours, by hard links."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from dataclasses import replace as with_changes
from enum import StrEnum
from pathlib import Path

from msgspec.structs import replace
from packaging.utils import NormalizedName

from mirror_contract import Failure, ProjectState
from mirror_syncer.catalog import Catalog
from mirror_syncer.commands.adoption.contents import digests, same_file, sha256, small
from mirror_syncer.commands.adoption.source import Found, OldTree
from mirror_syncer.config import Policy
from mirror_syncer.errors import FileRejectedError, InvalidPageError, PathError
from mirror_syncer.model.names import (
    PackagePath,
    Sha256,
    content_digest,
    full_path,
    parse_package_path,
    short_path,
)
from mirror_syncer.model.page import File, ProjectStatus
from mirror_syncer.model.project import Pending, ProjectRow, Retirement, Settlement
from mirror_syncer.publish import Publication, render_page
from mirror_syncer.volume import Volume, wheel_metadata

_SHORT = re.compile(r"packages/([0-9a-f]{2})/[^/]+")  # this mirror's own, whose rest of the digest is not known
ADOPTED = "adopted: the next sync asks upstream what is missing"


class Fate(StrEnum):
    """What became of a project of the old tree."""

    ADOPTED = "adopted"
    KEPT = "kept"  # this mirror has, or had, it already
    UNSELECTED = "unselected"
    FAILED = "failed"


@dataclass(slots=True)
class Outcome:
    """What adopting a project came to."""

    name: NormalizedName
    fate: Fate
    publication: Publication | None = None
    files: int = 0
    """Linked, or there already."""
    stored_bytes: int = 0
    withheld: int = 0
    """Left out by the policy; they stay where they are."""
    failures: list[Failure] = field(default_factory=list)
    """What of it could not be adopted."""


@dataclass(slots=True)
class _Candidate:
    """A file of the old page that lies there as the page says."""

    file: File
    found: Found
    places: tuple[PackagePath, ...]
    """Where it may go, the best first."""
    old: PackagePath | None
    """Where it lies in this very tree, if it does."""


class ProjectAdoption:
    """
    Adopts projects, a call each. It blocks for the disk, and several threads may be in it.

    Args:
        in_place: the old tree is this volume's own.
        resumed: another attempt broke off, and left names in the catalog.
        hashing: believe no file before it is hashed.
        volume: none, to look and touch nothing.
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
        Link a project's files and stage its page. Nothing is visible until the publication's group is committed.

        Its files are named in the catalog before they are linked, so an adoption that breaks off is gone on with.

        Raises:
            VolumeError: the disk says no.
        """
        try:
            return self._adopt(name, directory)
        except PathError as error:
            return _failed(name, str(error))

    def _adopt(self, name: NormalizedName, directory: Path) -> Outcome:
        selection = self._policy.selection(name)
        if selection is None:
            return Outcome(name, Fate.UNSELECTED)
        row = self._catalog.projects.get(name)
        if row is not None and (row.published or row.state is ProjectState.WITHDRAWN):
            return Outcome(name, Fate.KEPT)
        if self._volume is not None and (ours := self._volume.page_directory(name)).is_symlink():
            return _failed(name, f"{ours} is a symlink; remove it")
        try:
            page = self._old.read(name, directory)
        except InvalidPageError as error:
            return _failed(name, str(error))
        # PEP 792: "quarantined" – the index MUST NOT offer any distributions
        verdict = selection.judge(name, () if page.status is ProjectStatus.QUARANTINED else page.files)
        outcome = Outcome(name, Fate.ADOPTED, withheld=len(verdict.left_out))
        wrong = list[Retirement]()
        for refusal in page.refused:
            outcome.failures.append(Failure(project=name, file=refusal.filename, reason=refusal.reason))
        candidates = list(self._candidates(name, verdict.wanted, outcome, wrong))
        if self._volume is None:
            landed = [(candidate.file, candidate.places[0]) for candidate in candidates]
        else:
            landed = list(self._land(self._volume, name, candidates, outcome))
        if not landed and outcome.failures:
            # Nobody is served by an empty page: the old one stays until the next sync.
            outcome.fate = Fate.FAILED
            return outcome
        outcome.files = len(landed)
        outcome.stored_bytes = sum(file.size or 0 for file, _ in landed)
        if self._volume is not None:
            # Without its serial: it says that all up to it is here, and files may be missing.
            rendered = render_page(with_changes(page, serial=None), landed)
            row = ProjectRow(
                name,
                file_count=len(landed),
                stored_bytes=outcome.stored_bytes,
                withheld_files=outcome.withheld,
                missing_files=len(outcome.failures),
                published=True,
                changed_at=int(time.time()),
                error=ADOPTED,
                page_sha256=rendered.digest,
            )
            settlement = Settlement(
                row,
                read=True,
                retirements=(*wrong, *self._leaving(self._volume, name, candidates, landed)),
                returned=tuple(place for _, place in landed),
            )
            outcome.publication = Publication(settlement, self._volume.stage(name, rendered))
        return outcome

    def _candidates(
        self, name: NormalizedName, files: tuple[File, ...], outcome: Outcome, wrong: list[Retirement]
    ) -> Iterator[_Candidate]:
        """Yield the files that lie there as the page says; note those that lie there otherwise in ``wrong``."""
        for file in files:
            found = self._old.locate(file)
            if found is None:
                outcome.failures.append(Failure(project=name, file=file.filename, reason="not in the old tree"))
                continue
            old = _package_path(found.place) if self._in_place else None
            try:
                places = self._places(file, found)
            except FileRejectedError as error:
                outcome.failures.append(Failure(project=name, file=file.filename, reason=str(error)))
                if old is not None:
                    # nginx looks at the long path first: what lies there must not hide what the next sync fetches.
                    wrong.append(self._retirement(name, old, file.sha256, size=found.stat.st_size))
                continue
            # HTML has no sizes.
            yield _Candidate(replace(file, size=found.stat.st_size), found, places, old)

    def _places(self, file: File, found: Found) -> tuple[PackagePath, ...]:
        """Return the places where a file may go; one whose address its old path does not tell is hashed."""
        if file.size is not None and found.stat.st_size != file.size:
            raise FileRejectedError(f"the page gives it {file.size:,} bytes, on disk it has {found.stat.st_size:,}")
        address, short = content_digest(f"/{found.place}"), _SHORT.fullmatch(found.place)
        if self._hashing or (address is None and short is None):
            sha256, blake2b = digests(found.path)
            if sha256 != file.sha256:
                raise FileRejectedError(f"its sha256 is {sha256}, the page says {file.sha256}")
            address = address or blake2b
        if address is None:
            assert short is not None
            return (short_path(short[1], file.filename),)
        return short_path(address, file.filename), full_path(address, file.filename)

    def _land(
        self, volume: Volume, name: NormalizedName, candidates: list[_Candidate], outcome: Outcome
    ) -> Iterator[tuple[File, PackagePath]]:
        """Link what can be linked, metadata included, and yield it as the page may now name it."""
        # The old names, too: should this break off after the page and before the row, they leave all the same.
        olds = [Pending(name, one.old, one.file.sha256) for one in candidates if one.old is not None]
        wanted = [Pending(name, one.places[0], one.file.sha256) for one in candidates]
        taken = self._catalog.files.intend([*olds, *wanted])
        for one in candidates:
            try:
                volume.check_name(one.file.filename)
                place = self._choose(volume, name, one, taken)
                file = self._with_metadata(volume, name, one, place)
            except (FileRejectedError, PathError) as error:
                outcome.failures.append(Failure(project=name, file=one.file.filename, reason=str(error)))
            else:
                yield file, place

    def _choose(self, volume: Volume, name: NormalizedName, one: _Candidate, taken: set[PackagePath]) -> PackagePath:
        for number, place in enumerate(one.places):
            if number and place != one.old:
                taken |= self._catalog.files.intend([Pending(name, place, one.file.sha256)])
            if place in taken or (number and digests(one.found.path)[1] != content_digest(f"/{place}")):
                continue  # a full path is for the content that it names
            if volume.link(one.found.path, place, known=one.found.stat) or volume.digest(place) == one.file.sha256:
                return place
        raise FileRejectedError("both of its places hold other content or metadata, and no URL ever changes its bytes")

    def _with_metadata(self, volume: Volume, name: NormalizedName, one: _Candidate, place: PackagePath) -> File:
        """
        Bring the metadata that the old page promises, and return the file with what it really has.

        Clients die of a promise that is not kept, so that it is hashed, however many there are. Where the old page
        gives no digest, what the wheel itself says is believed, and not what lies beside it.
        """
        promised, path = one.file.core_metadata, one.found.path
        if not promised or not volume.keeps_metadata(one.file.filename):
            return replace(one.file, core_metadata=False)
        beside = f"{path}.metadata"
        body = small(beside) if isinstance(promised, str) else None
        link = body is not None and sha256(body) == promised
        if not link:
            body = wheel_metadata(Path(path)) if path.endswith(".whl") else None
        if body is None or (promised is not True and sha256(body) != promised):
            return replace(one.file, core_metadata=False)
        digest = sha256(body)
        link = link and volume.link_metadata(beside, place)
        if not link and volume.digest(PackagePath(f"{place}.metadata")) != digest:
            volume.write_metadata(name, place, body)
        return replace(one.file, core_metadata=digest)

    def _leaving(
        self,
        volume: Volume,
        name: NormalizedName,
        candidates: list[_Candidate],
        landed: list[tuple[File, PackagePath]],
    ) -> Iterator[Retirement]:
        """Yield the names that files leave after their grace period: of this attempt, and of one that broke off."""
        places = {file.filename: place for file, place in landed}
        done = set(places.values())
        for one in candidates:
            if one.old is not None and one.old not in done and one.file.filename in places:
                done.add(one.old)
                yield self._retirement(name, one.old, one.file.sha256)
        contents = {file.sha256: volume.path(place) for file, place in landed} if self._resumed else {}
        for intent in self._catalog.files.pending(name) if self._resumed else ():
            if intent.place not in done:
                now, path = contents.get(intent.sha256), volume.path(intent.place)
                if (now is not None and same_file(path, now)) or volume.digest(intent.place) == intent.sha256:
                    yield self._retirement(name, intent.place, intent.sha256)

    def _retirement(self, name: NormalizedName, place: PackagePath, sha256: Sha256, *, size: int = 0) -> Retirement:
        """Return what leaves after its grace; by far the most are second names, and free nothing."""
        now = int(time.time())
        due_at = now + int(self._policy.removal.grace.total_seconds())
        return Retirement(name, place, sha256, due_at=due_at, retired_at=now, size=size)


def _failed(name: NormalizedName, reason: str) -> Outcome:
    return Outcome(name, Fate.FAILED, failures=[Failure(project=name, reason=reason)])


def _package_path(place: str) -> PackagePath | None:
    try:
        return parse_package_path(place)
    except FileRejectedError:
        return None

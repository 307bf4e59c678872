"""Orphans: searched for at the end of a whole verify, reported, and with ``--repair`` retired like removed files."""

import itertools
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import structlog
from packaging.utils import NormalizedName

from mirror_contract import Failure
from mirror_syncer.catalog import Catalog
from mirror_syncer.config import Removal
from mirror_syncer.errors import FileRejectedError, InvalidPageError, PathError, VolumeFullError
from mirror_syncer.model.names import PackagePath, Sha256, parse_filename, possible_projects
from mirror_syncer.model.project import Pending, Retirement
from mirror_syncer.publish import read_published
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.verify.references import DIRECTORIES, Orphan, References
from mirror_syncer.volume import AnyVolume
from mirror_syncer.work.rate_limit import RateLimit

log = structlog.get_logger()

_NAMES_PER_PAGE = 500
_MAX_UNREAD_PAGES = 1_000  # with more unread pages, too little is known to call a file an orphan
# A page's time of change is stored before its group makes the page visible, which takes seconds.
_GROUP_SECONDS = 3_600
_MAX_LOGGED = 100


class Orphans:
    """
    Searches for orphans on behalf of a run.

    Only files older than the grace period count. A retired orphan has a grace period of its own, and ``collect`` checks
    again whether a page names it.

    Args:
        scratch: a directory for temporary files, on a local disk.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        volume: AnyVolume,
        removal: Callable[[], Removal],
        scratch: Path,
        rate_limit: RateLimit,
    ) -> None:
        self._catalog = catalog
        self._volume = volume
        self._removal = removal
        self._scratch = scratch
        self._rate_limit = rate_limit

    def search(self, run: ActiveRun) -> Generator[None, None, None]:
        """
        Search for orphans, about a second per step; each step blocks for the disk.

        Interrupted, it leaves nothing; after a restart it starts from the beginning.
        """
        started = time.time()
        grace = self._removal().grace.total_seconds()
        references = References(self._scratch, view=self._volume, catalog=self._catalog, before=started - grace)
        projects = self._catalog.projects
        with references:
            pages = self._volume.projects()
            while names := list(itertools.islice(pages, _NAMES_PER_PAGE)):
                references.read(names)
                yield
            for names in _pages(lambda after: projects.to_verify(after=after, limit=_NAMES_PER_PAGE)):
                references.expect(names)
                yield
            if len(references.unread) > _MAX_UNREAD_PAGES:
                run.report.remarks.append(
                    f"{len(references.unread)} pages cannot be read, so orphans were not searched for"
                )
                return
            for digits in DIRECTORIES:
                try:
                    references.suspect(digits)
                except PathError as error:
                    run.report.add(Failure(reason=f"orphans were not searched for there: {error}"))
                yield
            since = int(started) - _GROUP_SECONDS
            for names in _pages(lambda after: projects.changed_since(since, after=after, limit=_NAMES_PER_PAGE)):
                references.read(names)
                yield
            yield from self._report(run, references, due_at=int(time.time() + grace))
            yield from self._report_markers(run, references)

    def _report(self, run: ActiveRun, references: References, *, due_at: int) -> Iterator[None]:
        found = size = leaving = 0
        for digits in DIRECTORIES:
            # An unreadable page may name any file of its project.
            orphans = [
                o for o in references.orphans(digits) if references.unread.isdisjoint(possible_projects(o.filename))
            ]
            for orphan in orphans[: max(0, _MAX_LOGGED - found)]:
                log.warning("orphan", file=f"packages/{digits}/{orphan.filename}", bytes=orphan.bytes)
            found += len(orphans)
            size += sum(orphan.bytes for orphan in orphans)
            if run.request.repair and not references.unread:
                for start in range(0, len(orphans), _NAMES_PER_PAGE):
                    some = orphans[start : start + _NAMES_PER_PAGE]
                    leaving += self._retire(run, digits, some, due_at=due_at)
                    yield
            yield
        run.progress.counts.files_orphaned = found
        if found:
            what = f"{found:,} orphaned file(s) of {size:,} bytes, named by no page"
            remedy = (
                f"{leaving:,} of them are removed after the grace period"
                if run.request.repair
                else "mirrorctl verify --repair removes them"
            )
            run.report.remarks.append(f"{what}; {remedy}")

    def _report_markers(self, run: ActiveRun, references: References) -> Iterator[None]:
        """Report markers of files that no page holds, and with ``--repair`` remove them, so that nginx serves again."""
        found = removed = 0
        for digits in DIRECTORIES:
            try:
                for filename in references.stray_markers(digits):
                    place = self._stray_marker(digits, filename)
                    if place is None or not references.unread.isdisjoint(possible_projects(filename)):
                        continue
                    if found < _MAX_LOGGED:
                        log.warning("stray marker", file=place)
                    found += 1
                    if run.request.repair:
                        self._volume.release(place, address=None)
                        removed += 1
            except PathError as error:
                run.report.add(Failure(reason=f"stray markers of held files: {error}"))
            yield
        if found:
            remedy = "removed" if removed == found else "mirrorctl verify --repair removes them"
            run.report.remarks.append(f"nginx refuses {found:,} file(s) that no page holds; {remedy}")

    def _stray_marker(self, digits: str, filename: str) -> PackagePath | None:
        """
        Return the place of a marker if its project's page does not name the file as held.

        A project without a page keeps its markers: it may be blocked as a whole.
        """
        try:
            place = PackagePath(f"packages/{digits}/{parse_filename(filename)}")
            project = self._project(filename)
            published = None if project is None else read_published(self._volume, project)
        except (FileRejectedError, InvalidPageError):
            return None
        if published is None or any(held.place == place for held in published.held):
            return None
        return place

    def _retire(self, run: ActiveRun, digits: str, orphans: list[Orphan], *, due_at: int) -> int:
        retirements = []
        removed = 0
        for orphan in orphans:
            place, project = orphan.place(digits), self._project(orphan.filename)
            # Without a project ``collect`` could not check whether a page names the file.
            if place is None or project is None:
                continue
            if orphan.alone:
                try:
                    removed += self._remove(place, project)
                except (PathError, VolumeFullError) as error:
                    run.report.add(Failure(project=project, file=orphan.filename, reason=str(error)))
            elif digest := self._digest(place):
                retirements.append(
                    Retirement(project, place, digest, due_at=due_at, retired_at=int(time.time()), size=orphan.bytes)
                )
        return removed + self._catalog.files.retire(retirements)

    def _remove(self, place: PackagePath, project: NormalizedName) -> bool:
        """Remove metadata whose file is missing, unless a task is about to publish that file."""
        if self._catalog.files.claim([Pending(project, place, Sha256("0" * 64))]):
            return False
        try:
            if self._volume.size(place) is None:
                self._volume.remove(place)
        finally:
            self._catalog.files.record_removal(project, [place])
        return True

    def _digest(self, place: PackagePath) -> Sha256 | None:
        pieces = self._volume.hash_in_pieces(place, piece=self._rate_limit.piece)
        try:
            while True:
                self._rate_limit.take(next(pieces))
        except StopIteration as end:
            digest: Sha256 | None = end.value
            return digest
        except OSError:
            return None

    def _project(self, filename: str) -> NormalizedName | None:
        """Return the project of a file name: the longest possible name that the catalog knows, else the shortest."""
        names = sorted(possible_projects(filename), key=len)
        return next((name for name in reversed(names) if self._catalog.projects.get(name)), next(iter(names), None))


def _pages(page: Callable[[str], list[NormalizedName]]) -> Iterator[list[NormalizedName]]:
    names = page("")
    while names:
        yield names
        names = page(names[-1])

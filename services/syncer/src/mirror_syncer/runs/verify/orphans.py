"""Orphans: looked for at the end of a whole verify, told of, and with ``--repair`` let go like other retired files."""

import itertools
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import structlog
from packaging.utils import NormalizedName

from mirror_contract import Failure
from mirror_syncer.catalog import Catalog
from mirror_syncer.config import Removal
from mirror_syncer.errors import PathError, VolumeFullError
from mirror_syncer.model.names import PackagePath, Sha256, possible_projects
from mirror_syncer.model.project import Pending, Retirement
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.verify.references import DIRECTORIES, Orphan, References
from mirror_syncer.volume import Volume
from mirror_syncer.work.rate_limit import RateLimit

log = structlog.get_logger()

_NAMES_AT_ONCE = 500
_UNREAD_MOST = 1_000  # pages; with more than these unread, nothing can be said of orphans
# A page's time of change is taken before its group makes it visible, which takes seconds.
_GROUP_SECONDS = 3_600
_TOLD = 100


class Orphans:
    """
    Looks for them on behalf of a run.

    Only what is older than the removal grace counts. One that leaves has a grace of its own, and ``collect`` looks once
    more whether a page names it.

    Args:
        scratch: where partitions lie meanwhile, on a local disk.
    """

    def __init__(
        self, *, catalog: Catalog, volume: Volume, removal: Callable[[], Removal], scratch: Path, rate_limit: RateLimit
    ) -> None:
        self._catalog = catalog
        self._volume = volume
        self._removal = removal
        self._scratch = scratch
        self._rate_limit = rate_limit

    def search(self, run: ActiveRun) -> Generator[None, None, None]:
        """
        Look for orphans, a second or so at a time; each step blocks for the disk.

        Broken off, it leaves nothing; it is begun anew after a restart.
        """
        began = time.time()
        grace = self._removal().grace.total_seconds()
        references = References(self._scratch, view=self._volume, catalog=self._catalog, before=began - grace)
        projects = self._catalog.projects
        with references:
            pages = self._volume.projects()
            while names := list(itertools.islice(pages, _NAMES_AT_ONCE)):
                references.read(names)
                yield
            for names in _pages(lambda after: projects.to_verify(after=after, limit=_NAMES_AT_ONCE)):
                references.expect(names)
                yield
            if len(references.unread) > _UNREAD_MOST:
                run.remarks.append(f"{len(references.unread)} pages cannot be read, so orphans were not looked for")
                return
            for digits in DIRECTORIES:
                try:
                    references.suspect(digits)
                except PathError as error:
                    run.note(Failure(reason=f"orphans were not looked for there: {error}"))
                yield
            since = int(began) - _GROUP_SECONDS
            for names in _pages(lambda after: projects.changed_since(since, after=after, limit=_NAMES_AT_ONCE)):
                references.read(names)
                yield
            yield from self._tell(run, references, due_at=int(time.time() + grace))

    def _tell(self, run: ActiveRun, references: References, *, due_at: int) -> Iterator[None]:
        found = size = leaving = 0
        for digits in DIRECTORIES:
            # What a page that cannot be read names is not known.
            orphans = [
                o for o in references.orphans(digits) if references.unread.isdisjoint(possible_projects(o.filename))
            ]
            for orphan in orphans[: max(0, _TOLD - found)]:
                log.warning("orphan", file=f"packages/{digits}/{orphan.filename}", bytes=orphan.bytes)
            found += len(orphans)
            size += sum(orphan.bytes for orphan in orphans)
            if run.request.repair and not references.unread:
                for start in range(0, len(orphans), _NAMES_AT_ONCE):
                    some = orphans[start : start + _NAMES_AT_ONCE]
                    leaving += self._let_go(run, digits, some, due_at=due_at)
                    yield
            yield
        run.document.counts.files_orphaned = found
        if found:
            told = f"{found:,} file(s) of {size:,} bytes are named by no page and known to nobody"
            way = (
                f"{leaving:,} of them leave after the grace period"
                if run.request.repair
                else "mirrorctl verify --repair lets them go"
            )
            run.remarks.append(f"{told}; {way}")

    def _let_go(self, run: ActiveRun, digits: str, orphans: list[Orphan], *, due_at: int) -> int:
        retirements = []
        gone = 0
        for orphan in orphans:
            place, project = orphan.place(digits), self._project(orphan.filename)
            # Of a name that tells no project ``collect`` could not find out whether a page names it.
            if place is None or project is None:
                continue
            if orphan.alone:
                try:
                    gone += self._remove(place, project)
                except (PathError, VolumeFullError) as error:
                    run.note(Failure(project=project, file=orphan.filename, reason=str(error)))
            elif digest := self._digest(place):
                retirements.append(
                    Retirement(project, place, digest, due_at=due_at, retired_at=int(time.time()), size=orphan.bytes)
                )
        return gone + self._catalog.files.retire(retirements)

    def _remove(self, place: PackagePath, project: NormalizedName) -> bool:
        """Remove metadata whose file is gone, unless somebody is about to bring that file."""
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
        """Return the project that a file is of by its name: the longest that the catalog knows, else the shortest."""
        names = sorted(possible_projects(filename), key=len)
        return next((name for name in reversed(names) if self._catalog.projects.get(name)), next(iter(names), None))


def _pages(page: Callable[[str], list[NormalizedName]]) -> Iterator[list[NormalizedName]]:
    names = page("")
    while names:
        yield names
        names = page(names[-1])

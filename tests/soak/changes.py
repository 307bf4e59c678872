"""Continuous changes upstream: mostly uploads, and everything that makes a mirror remove something."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from fakepypi import Index, Project, Release, Status
from soak.rates import Rates

_TICK_SECONDS = 0.1
_PADDINGS = (0, 20_000, 400_000)  # the last is more than the 256 KiB up to which the syncer gathers a file in memory
_PADDING_WEIGHTS = (50, 45, 5)
_NIGHTLY = 20  # projects with nightly builds, which get one release in ten
# The other changes, and their weights. Removals are more frequent than on PyPI, since mirrors get them wrong. Changes
# of a project with a status:
_TO_PROJECTS: dict[str, tuple[int, Status, Callable[[Project], object]]] = {
    "invite": (25, Status.ACTIVE, lambda project: project.invite("ann")),
    "quarantine": (4, Status.ACTIVE, Project.quarantine),
    "clear quarantine": (4, Status.QUARANTINED, Project.clear_quarantine),
    "archive": (1, Status.ACTIVE, Project.archive),
    "unarchive": (1, Status.ARCHIVED, Project.unarchive),
    "delete": (6, Status.ACTIVE, Project.delete),
}
# Changes of a release of an active project, where they are possible:
_TO_RELEASES: dict[str, tuple[int, Callable[[Release], object], Callable[[Project, Release], object]]] = {
    "yank": (20, lambda release: not release.yanked, lambda project, release: project.yank(release.version)),
    "unyank": (10, lambda release: release.yanked, lambda project, release: project.unyank(release.version)),
    "delete release": (10, bool, lambda project, release: project.delete_release(release.version)),
    "delete file": (
        8,
        lambda release: len(release.files) > 1,
        lambda project, release: project.delete_file(release.sdist.filename),
    ),
    "quarantine release": (
        3,
        lambda release: not release.quarantined,
        lambda project, release: project.quarantine_release(release.version),
    ),
    "clear release": (
        2,
        lambda release: release.quarantined,
        lambda project, release: project.clear_release_quarantine(release.version),
    ),
}
_RECREATE = "recreate"
_WEIGHTS = {verb: first for verb, (first, *_) in (*_TO_PROJECTS.items(), *_TO_RELEASES.items())} | {_RECREATE: 6}
_WITHOUT_SERIAL = ("archive", "unarchive")  # these move no serial


@dataclass(frozen=True, slots=True)
class Change:
    """A change that the project's page shows from a serial on."""

    name: str
    serial: int
    at: float


class Changes:
    """
    The people who use PyPI.

    Args:
        index: the index that they change.

    Attributes:
        counts: the number of changes of each kind.
        on_change: called with each change that has a serial; archiving has none.
    """

    def __init__(self, index: Index, *, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self.on_change: Callable[[Change], None] = lambda _: None
        self._index = index
        self._dice = random.Random(f"changes {seed}")
        self._names: list[str] = []
        self._versions: Counter[str] = Counter()
        self._filenames: dict[str, str] = {}
        """A file of each project that may have been deleted: its next owner may use the same file name."""

    def populate(self, projects: int) -> None:
        """Create this many projects before the first sync."""
        for _ in range(projects):
            self._create()
        self.counts.clear()

    async def run(self, rates: Rates) -> None:
        """Make changes at these average rates until cancelled."""
        verbs = {self._create: rates.projects, self._release: rates.releases, self._other: rates.others}
        began, done = time.monotonic(), 0
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            due = int((time.monotonic() - began) / 60 * rates.changes)
            for verb in self._dice.choices(list(verbs), list(verbs.values()), k=due - done):
                verb()
            done = due

    def any_name(self) -> str:
        """Return the name of a project that exists or existed."""
        return random.choice(self._names)

    def _create(self) -> None:
        self._names.append(name := f"project-{len(self._names):05}")
        self._release(self._index.project(name))

    def _release(self, project: Project | None = None) -> None:
        names = self._names[:_NIGHTLY] if self._dice.random() < 1 / 10 else self._names
        project = project or self._index.project(self._dice.choice(names))
        if project.status not in (Status.ACTIVE, Status.ABSENT):
            project = self._index.project(self._names[-1])
        self._versions[project.name] += 1
        (padding,) = self._dice.choices(_PADDINGS, _PADDING_WEIGHTS)
        project.upload(f"{self._versions[project.name]}.0", padding=padding)
        self._happened("release", project)

    def _other(self) -> None:
        (verb,) = self._dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        for name in self._dice.sample(self._names, len(self._names)):
            project = self._index.project(name)
            if self._do(verb, project):
                self._happened(verb, project)
                return

    def _do(self, verb: str, project: Project) -> bool:
        """Change a project; return False if this change is impossible."""
        if verb == _RECREATE:
            return self._recreate(project)
        if verb in _TO_PROJECTS:
            _, status, do = _TO_PROJECTS[verb]
            if project.status is not status:
                return False
            if file := next(iter(project.files), None):
                self._filenames[project.name] = file.filename
            do(project)
            return True
        _, may, do_to = _TO_RELEASES[verb]
        releases = [release for release in project.releases.values() if may(release)]
        if project.status is not Status.ACTIVE or not releases:
            return False
        do_to(project, self._dice.choice(releases))
        return True

    def _recreate(self, project: Project) -> bool:
        """Let another owner take a deleted project's name, with a file of the same name and other bytes."""
        if project.status is not Status.ABSENT or project.name not in self._filenames:
            return False
        content = self._dice.randbytes(3_000)
        project.upload_file(self._filenames[project.name], content, version="1.0", replace=True)
        return True

    def _happened(self, what: str, project: Project) -> None:
        self.counts[what] += 1
        if what not in _WITHOUT_SERIAL:
            self.on_change(Change(project.name, project.serial, time.monotonic()))

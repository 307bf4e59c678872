"""A project, and the verbs that change it as warehouse does."""

from datetime import datetime
from typing import TYPE_CHECKING, Self

from packaging.utils import canonicalize_name

from fakepypi.distributions import PURE, Distribution, Recipe, build_sdist, build_wheel
from fakepypi.release import File, Listing, Release, Status, list_files

if TYPE_CHECKING:
    from fakepypi.index import Index


class Project:
    """A project and its changes; each verb keeps the earlier listing, so that a stale page can be shown."""

    def __init__(self, index: "Index", display_name: str) -> None:
        self.display_name = display_name
        self.status = Status.ABSENT
        self.serial = 0
        self.releases: dict[str, Release] = {}
        self._index = index
        self._history = [self._listed()]

    @property
    def name(self) -> str:
        """The normalized name."""
        return canonicalize_name(self.display_name)

    @property
    def files(self) -> list[File]:
        """The files that the page lists now."""
        return [listed.file for listed in self.listing().files]

    def listing(self, *, stale: bool = False) -> Listing:
        """Return the page's content: now, or before the last change."""
        return self._history[-2] if stale and len(self._history) > 1 else self._history[-1]

    def as_of(self, serial: int) -> Listing:
        """Return the page's content at a serial."""
        return next(listing for listing in reversed(self._history) if listing.serial <= serial)

    def create(self) -> Self:
        """Create the project, or recreate it after a deletion, without a file; the first upload does so too."""
        self.status = Status.ACTIVE
        self._changed("create")
        return self

    def upload(
        self,
        version: str,
        *,
        wheel: bool = True,
        sdist: bool = True,
        tags: tuple[str, ...] = (PURE,),
        requires_dist: tuple[str, ...] = (),
        requires_python: str | None = None,
        padding: int = 0,
        uploaded_at: datetime | None = None,
        provenance: bool = False,
    ) -> Release:
        """Build and upload a release: a wheel a tag and a source distribution, unless one of them is turned off."""
        recipe = Recipe(
            name=self.display_name,
            version=version,
            requires_dist=requires_dist,
            requires_python=requires_python,
            padding=padding,
            seed=self._index.seed,
        )
        built = [build_wheel(recipe, tag) for tag in tags] if wheel else []
        built += [build_sdist(recipe)] if sdist else []
        return self._upload(version, built, requires_python, uploaded_at, provenance=provenance)

    def upload_file(
        self,
        filename: str,
        content: bytes,
        *,
        version: str,
        metadata: bytes | None = None,
        requires_python: str | None = None,
        uploaded_at: datetime | None = None,
        replace: bool = False,
    ) -> File:
        """Upload any bytes under any name; ``replace`` does what PyPI refuses and other upstreams allow."""
        distribution = Distribution(filename=filename, content=content, metadata=metadata)
        release = self._upload(version, [distribution], requires_python, uploaded_at, replacing=replace)
        return release.files[filename]

    def yank(self, version: str, *, reason: str = "") -> None:
        """Yank a release (PEP 592)."""
        self.releases[version].yanked = reason or True
        self._changed("yank release", version=version)

    def unyank(self, version: str) -> None:
        """Undo a yank."""
        self.releases[version].yanked = False
        self._changed("unyank release", version=version)

    def delete_file(self, filename: str) -> None:
        """Delete a file: its entry disappears, its URL still works."""
        release = next(release for release in self.releases.values() if filename in release.files)
        del release.files[filename]
        self._changed(f"remove file {filename}", version=release.version)

    def delete_release(self, version: str) -> None:
        """Delete a release with its files."""
        del self.releases[version]
        self._changed("remove release", version=version)

    def delete(self) -> None:
        """Delete the project: its page is a 404, and the root does not list it."""
        self.releases.clear()
        self.status = Status.ABSENT
        self._changed("remove project")

    def quarantine(self) -> None:
        """Quarantine the project: its page is empty with 200, and the root does not list it."""
        self.status = Status.QUARANTINED
        self._changed("project quarantined")

    def clear_quarantine(self) -> None:
        """End the project's quarantine."""
        self.status = Status.ACTIVE
        self._changed("project quarantine cleared")

    def quarantine_release(self, version: str) -> None:
        """Quarantine one release: its files disappear, and may return."""
        self.releases[version].quarantined = True
        self._changed("release quarantined", version=version)

    def clear_release_quarantine(self, version: str) -> None:
        """End a release's quarantine."""
        self.releases[version].quarantined = False
        self._changed("release quarantine cleared", version=version)

    def archive(self) -> None:
        """Archive the project: the page changes, the serial does not, as on PyPI."""
        self.status = Status.ARCHIVED
        self._changed()

    def unarchive(self) -> None:
        """Undo the archiving, also without a serial."""
        self.status = Status.ACTIVE
        self._changed()

    def invite(self, user: str) -> None:
        """Invite a maintainer: the serial moves, the page's content does not."""
        self._changed(f"invite Maintainer {user}")

    def _upload(
        self,
        version: str,
        built: list[Distribution],
        requires_python: str | None,
        uploaded_at: datetime | None,
        *,
        provenance: bool = False,
        replacing: bool = False,
    ) -> Release:
        actions = []
        if self.status is Status.ABSENT:
            self.status = Status.ACTIVE
            actions.append("create")
        if version not in self.releases:
            self.releases[version] = Release(version=version)
            actions.append("new release")
        release = self.releases[version]
        release.requires_python = requires_python
        for distribution in built:
            file = File(
                project=self.name,
                version=version,
                filename=distribution.filename,
                content=distribution.content,
                metadata=distribution.metadata,
                uploaded_at=uploaded_at or self._index.now(),
                provenance=provenance,
            )
            self._index.store(file, replacing=replacing)
            release.files[file.filename] = file
            actions.append(f"add {file.python_version} file {file.filename}")
        self._changed(*actions, version=version)
        return release

    def _changed(self, *actions: str, version: str | None = None) -> None:
        if actions:
            self.serial = self._index.record(self.display_name, *actions, version=version)
        self._history.append(self._listed())

    def _listed(self) -> Listing:
        offered = self.status in (Status.ACTIVE, Status.ARCHIVED)
        return Listing(
            display_name=self.display_name,
            serial=self.serial,
            status=self.status,
            files=list_files(self.releases.values()) if offered else (),
        )

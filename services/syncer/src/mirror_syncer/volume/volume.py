"""The volume: the tree that this process has locked, and operations on the whole of it."""

import os
import stat
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from packaging.utils import NormalizedName

from mirror_syncer.errors import PathError, VolumeError, VolumeFullError, VolumeMissingError
from mirror_syncer.model.generation import Generation
from mirror_syncer.volume import changes, held_markers
from mirror_syncer.volume.ballast import trim_ballast
from mirror_syncer.volume.blocked_names import blocked_names
from mirror_syncer.volume.case_check import check_case_sensitivity
from mirror_syncer.volume.directories import check_no_symlinks, check_writable, missing_directories
from mirror_syncer.volume.disk import explain_disk_errors, unlink
from mirror_syncer.volume.free_space import MIN_FREE_BYTES
from mirror_syncer.volume.hashing import read_file
from mirror_syncer.volume.incoming import store
from mirror_syncer.volume.large_page import StreamedPages
from mirror_syncer.volume.lock import VolumeLock
from mirror_syncer.volume.pages import write_page
from mirror_syncer.volume.tree import Tree

_MAX_STAGED_SECONDS = 7 * 86_400
_HIDDEN = (".staging", ".withdrawn")
_PRIVATE = 0o700  # nginx, another user, must not read these, even through a symlink
_GENERATION = ".generation"
_STAGED_GENERATION = "generation"
_BLOCKED = ".blocked"
_STAGED_BLOCKED = "blocked"
_PACKAGES = frozenset(f"{number:02x}" for number in range(256))
_SHARED = (".", "web", "web/simple", "web/packages", *_HIDDEN)
_DIRECTORIES = ("web", "web/simple", "web/pypi", "web/packages", *_HIDDEN, ".withdrawn/packages")


class Volume(Tree):
    """
    A mirror's tree, locked by this process until ``close``; its worker processes write to it as a ``Tree``.

    Args:
        root, reserve: as in ``Tree``.
        mirror_id, known: as in ``VolumeLock``.
    """

    @explain_disk_errors(affects_all=True)
    def __init__(self, root: Path, *, mirror_id: str, known: bool, reserve: float = 0.0) -> None:
        base = root / "pypi"
        # After a failure nothing stays open, so that the disk can be unmounted.
        with ExitStack() as held:
            self._lock = VolumeLock(base, mirror_id=mirror_id, known=known)
            held.callback(self._lock.release)
            check_no_symlinks(base / directory for directory in _DIRECTORIES)
            missing = missing_directories(base / "web/packages", _PACKAGES)
            super().__init__(root, reserve=reserve)
            held.callback(self.durability.close)
            self.durability.directory_changed(root)
            for directory in ("web/simple", "web/packages"):
                self.durability.make_directory(base / directory)
            check_case_sensitivity(base / "web/packages")
            for name in missing:
                os.mkdir(f"{self.web}/packages/{name}")  # noqa: PTH102 - text: 256 paths take 3 ms
            self.durability.directory_changed(base / "web/packages")
            for hidden in _HIDDEN:
                (base / hidden).mkdir(mode=_PRIVATE, exist_ok=True)
                if stat.S_IMODE((base / hidden).stat().st_mode) != _PRIVATE:
                    (base / hidden).chmod(_PRIVATE)
            self.durability.directory_changed(base)
            self.trim_changes()
            held.pop_all()

    @property
    def mirror_id(self) -> str:
        """The id in the tree's marker."""
        return self._lock.mirror_id

    def close(self) -> None:
        """Release the tree, so that another syncer may lock it."""
        self.durability.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @explain_disk_errors(cannot_be="read", affects_all=True)
    def check_present(self) -> None:
        """
        Check the tree, before each run and when files are missing.

        Raises:
            VolumeMissingError: its disk was unmounted.
            VolumeError: one of its main directories became a symlink.
        """
        if not self._lock.present:
            raise VolumeMissingError(
                f"{self.base} has lost its marker: is the disk mounted? The syncer waits until it is back"
            )
        check_no_symlinks(self.base / directory for directory in _DIRECTORIES)
        missing_directories(self.web / "packages", _PACKAGES)

    def check_usable(self) -> None:
        """
        Check whether the error of one path affects the whole tree.

        Raises:
            VolumeMissingError: its disk was unmounted.
            VolumeError: one of its main directories is missing, is not a directory, or is not writable.
        """
        self.check_present()
        check_writable(self.base / directory for directory in _SHARED)

    def is_full(self) -> bool:
        """Return whether downloads must stop, because the reserve is in use or inodes run out."""
        try:
            self.check_room(MIN_FREE_BYTES)
        except VolumeFullError:
            return True
        return False

    def trim_ballast(self) -> None:
        """Delete the ballast on a full disk, or create it again; called before each run."""
        with suppress(VolumeError):
            trim_ballast(self.base / ".ballast", free=self.disk().free_bytes, spare_bytes=self._room.spare_bytes())

    # Changes for edges

    def trim_changes(self) -> None:
        """Drop outdated lines of the list of changes; called before each run."""
        with suppress(VolumeError, PathError):
            self._changes.trim()

    def list_changed_pages(self, names: Iterable[NormalizedName]) -> None:
        """Have edges ask again for pages that were just replaced or removed; otherwise they wait for ten minutes."""
        with suppress(VolumeError, PathError):
            self._changes.add(f"simple/{name}" for name in names)

    # The generation

    @explain_disk_errors(cannot_be="read")
    def generation(self) -> Generation:
        """Return the tree's generation; the first one if none was written yet."""
        try:
            return Generation.parse((self.base / _GENERATION).read_text(errors="replace"))
        except FileNotFoundError:
            return Generation()

    @explain_disk_errors()
    def write_generation(self, generation: Generation) -> None:
        """
        Replace the tree's generation; the next ``sync`` makes it durable.

        It is a new file each time: written in place, it would also change in hard-linked copies of the tree.
        """
        temporary = self._staging / _STAGED_GENERATION
        temporary.unlink(missing_ok=True)
        write_page(temporary, f"{generation}\n".encode(), mtime=int(time.time()), durability=self.durability)
        temporary.rename(self.base / _GENERATION)
        self.durability.directory_changed(self.base)

    # The project list

    def stream_list(self) -> StreamedPages:
        """Start writing a new project list beside the published one."""
        return StreamedPages(self.web / "simple", durability=self.durability)

    def has_project_list(self) -> bool:
        """Return whether a project list is published, in both formats."""
        return all((self.web / "simple" / form).is_file() for form in ("index.html", "index.v1_json"))

    # The status

    @explain_disk_errors(affects_all=True)
    def write_status(self, body: bytes) -> None:
        """
        Replace ``status.json`` atomically.

        Raises:
            VolumeMissingError: the disk is not mounted; nothing is written to its mount point.
        """
        self.check_present()
        temporary = self._staging / "status.json"
        temporary.unlink(missing_ok=True)
        try:
            write_page(temporary, body, mtime=int(time.time()), durability=self.durability)
            temporary.rename(self.web / "status.json")
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        self.durability.directory_changed(self.web)

    # Blocked names

    @explain_disk_errors()
    def write_blocked_names(self, names: Mapping[str, str], patterns: Mapping[str, str]) -> bool:
        """
        Replace the names whose 404 gives a reason, atomically; the next ``sync`` makes it durable.

        Args:
            names, patterns: as in ``blocked_names.blocked_names``.

        Returns:
            Whether anything changed.
        """
        path, body = self.base / _BLOCKED, blocked_names(names, patterns)
        if path.is_symlink():
            path.unlink()
        if read_file(str(path)) == body:
            return False
        if body is None:
            path.unlink()
        else:
            store(body, temporary=str(self._staging / _STAGED_BLOCKED), target=str(path), durability=self.durability)
        self.durability.directory_changed(self.base)
        return True

    # After a crash

    @explain_disk_errors(affects_all=True)
    def clean_staging(self) -> None:
        """Remove staged downloads that were not resumed for a week, and other temporaries that a crash left."""
        for name in (_STAGED_GENERATION, _STAGED_BLOCKED, changes.STAGED_NAME):
            with suppress(OSError):
                unlink(self._staging / name)
        for path in self._staging.iterdir():
            with suppress(OSError):  # the next start tries again
                abandoned = path.lstat().st_mtime < time.time() - _MAX_STAGED_SECONDS
                if abandoned or path.name.startswith(held_markers.TEMPORARY_PREFIX):
                    path.unlink()

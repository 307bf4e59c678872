"""The volume: a tree that this process has taken, and what concerns it as a whole."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from mirror_syncer.errors import VolumeAbsent
from mirror_syncer.volume.directories import check_real
from mirror_syncer.volume.disk import disk_says
from mirror_syncer.volume.generation import Generation
from mirror_syncer.volume.letters import check_letters
from mirror_syncer.volume.pages import write_page
from mirror_syncer.volume.possession import Possession
from mirror_syncer.volume.stream import StreamedPages
from mirror_syncer.volume.tree import Tree

_STAGED_SECONDS = 7 * 86_400
_HIDDEN = (".staging", ".withdrawn")
_GENERATION = ".generation"
_PACKAGES = tuple(f"web/packages/{number:02x}" for number in range(256))
_DIRECTORIES = ("web", "web/simple", "web/pypi", "web/packages", *_PACKAGES, *_HIDDEN, ".withdrawn/packages")


class Volume(Tree):
    """
    A mirror's tree, taken by this process until ``close``; its worker processes write to it as a ``Tree``.

    Args:
        root, reserve: as for ``Tree``.
        mirror_id, known: as for ``Possession``.
    """

    @disk_says()
    def __init__(self, root: Path, *, mirror_id: str, known: bool, reserve: float = 0.0) -> None:
        base = root / "pypi"
        # Nothing of a tree that is refused stays open, so that its disk can be unmounted.
        with ExitStack() as held:
            self._possession = Possession(base, mirror_id=mirror_id, known=known)
            held.callback(self._possession.release)
            check_real(base / directory for directory in _DIRECTORIES)
            super().__init__(root, reserve=reserve)
            held.callback(self.durability.close)
            self.durability.named(root)
            self.durability.make_directory(base / "web/packages")
            check_letters(base / "web/packages")
            for directory in ("web/simple", *_PACKAGES):
                self.durability.make_directory(base / directory)
            for hidden in _HIDDEN:
                (base / hidden).mkdir(mode=0o700, exist_ok=True)
            self.durability.named(base)
            held.pop_all()

    @property
    def mirror_id(self) -> str:
        """What the tree bears."""
        return self._possession.mirror_id

    def close(self) -> None:
        """Let go of the tree; another syncer may take it."""
        self.durability.close()
        self._possession.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @disk_says(cannot_be="read")
    def check_present(self) -> None:
        """
        Look at the tree before each run.

        Raises:
            VolumeAbsent: its disk was unmounted under us.
            VolumeError: a directory that everything lies in became a symlink.
        """
        if not self._possession.present:
            raise VolumeAbsent(
                f"{self.base} has lost its marker: is the disk mounted? Nothing is done until it is back"
            )
        check_real(self.base / directory for directory in _DIRECTORIES)

    # Its generation

    @disk_says(cannot_be="read")
    def generation(self) -> Generation:
        """Return the tree's generation; one that was never written is the first."""
        try:
            return Generation.parse((self.base / _GENERATION).read_text(errors="replace"))
        except FileNotFoundError:
            return Generation()

    @disk_says()
    def write_generation(self, generation: Generation) -> None:
        """
        Put a generation in the place of the last; the next ``sync`` makes it durable.

        It is a file of its own each time: written in place, it would change in copies that hard links made, too.
        """
        temporary = self._staging / "generation"
        temporary.unlink(missing_ok=True)
        write_page(temporary, f"{generation}\n".encode(), mtime=int(time.time()), durability=self.durability)
        temporary.rename(self.base / _GENERATION)
        self.durability.named(self.base)

    # The project list

    def stream_list(self) -> StreamedPages:
        """Begin a new project list beside the published one."""
        return StreamedPages(self.web / "simple", durability=self.durability)

    def lists(self) -> bool:
        """Return whether a project list is published, in both formats."""
        return all((self.web / "simple" / form).is_file() for form in ("index.html", "index.v1_json"))

    # The status

    @disk_says()
    def write_status(self, body: bytes) -> None:
        """
        Put ``status.json`` in the place of its forerunner, whole.

        Raises:
            VolumeAbsent: the disk is not there, and nothing is written to where it was.
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
        self.durability.named(self.web)

    # After a crash

    @disk_says()
    def clean_staging(self) -> None:
        """Remove staged downloads that nobody went on with for a week."""
        for path in self._staging.iterdir():
            if path.lstat().st_mtime < time.time() - _STAGED_SECONDS:
                path.unlink()

"""The volume: a tree that this process has taken, and what concerns it as a whole."""

import time
from pathlib import Path
from typing import Self

from mirror_syncer.errors import VolumeAbsent
from mirror_syncer.volume.disk import disk_says
from mirror_syncer.volume.possession import Possession
from mirror_syncer.volume.stream import StreamedPages
from mirror_syncer.volume.tree import Tree

_STAGED_SECONDS = 7 * 86_400


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
        self._possession = Possession(base, mirror_id=mirror_id, known=known)
        try:
            for directory in ("simple", *(f"packages/{number:02x}" for number in range(256))):
                (base / "web" / directory).mkdir(parents=True, exist_ok=True)
            for hidden in (".staging", ".withdrawn"):
                (base / hidden).mkdir(mode=0o700, exist_ok=True)
            super().__init__(root, reserve=reserve)
        except BaseException:
            self._possession.release()
            raise

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

    def check_present(self) -> None:
        """Raise ``VolumeAbsent`` where its disk was unmounted under us; before each run."""
        if not self._possession.present:
            raise VolumeAbsent(
                f"{self.base} has lost its marker: is the disk mounted? Nothing is done until it is back"
            )

    # The project list

    def stream_list(self) -> StreamedPages:
        """Begin a new project list beside the published one."""
        return StreamedPages(self.web / "simple", durability=self.durability)

    def lists(self) -> bool:
        """Return whether a project list is published, in both formats."""
        return all((self.web / "simple" / form).is_file() for form in ("index.html", "index.v1_json"))

    # After a crash

    @disk_says()
    def clean_staging(self) -> None:
        """Remove staged downloads that nobody went on with for a week."""
        for path in self._staging.iterdir():
            if path.stat().st_mtime < time.time() - _STAGED_SECONDS:
                path.unlink()

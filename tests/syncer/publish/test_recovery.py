"""Recovery of interrupted publications at a start; the laws about crashes are in tests/syncer/laws."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from packaging.utils import NormalizedName

from mirror_syncer.catalog import Catalog
from mirror_syncer.config import Removal
from mirror_syncer.model.names import PackagePath, Sha256
from mirror_syncer.model.project import Pending
from mirror_syncer.publish.recovery import recover
from mirror_syncer.volume import Volume

NAMES = [NormalizedName(f"project-{number:03}") for number in range(400)]


def test_recovery_of_many_projects_takes_few_transactions(tmp_path: Path, catalog: Catalog) -> None:
    """A start after a kill with 400 projects in hand commits a few times, not once for each; it retires each file."""
    volume = Volume(tmp_path, mirror_id=catalog.mirror_id, known=False, reserve=0)
    digest = Sha256("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")  # of nothing
    for name in NAMES:
        place = PackagePath(f"packages/ab/{name}-1.0.tar.gz")
        catalog.files.claim([Pending.page(name), Pending(name, place, digest)])
        path = volume.path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    commits = []

    def count(_: Any) -> None:
        commits.append(1)

    sa.event.listen(catalog._engine, "commit", count)
    assert recover(catalog=catalog, volume=volume, removal=Removal(grace=timedelta(hours=24))) == len(NAMES)
    assert len(commits) <= 4
    assert catalog.files.pending() == []
    assert [waiting.project for waiting in catalog.files.waiting()] == NAMES
    volume.close()
    catalog.close()

"""Tree and catalog taken together: do they belong to each other, and is the tree one that may be written to?"""

import os

import structlog

from mirror_syncer.catalog import Catalog, Fact
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import VolumeError
from mirror_syncer.publish.recovery import rebuild_catalog
from mirror_syncer.volume import Volume

log = structlog.get_logger()


def open_tree(settings: Settings, *, catalog: Catalog, adopting: bool = False) -> Volume:
    """
    Take the tree for a catalog; a catalog that was lost is made anew from the tree's pages.

    Args:
        adopting: pages of another program are expected there.

    Raises:
        VolumeError: the tree cannot be had, or is another program's, or half adopted.
    """
    known = bool(catalog.projects.page(limit=1))
    if not adopting:
        if begun := catalog.recall(Fact.ADOPTING):
            raise VolumeError(
                f"the adoption of {begun} was begun and is not done: run the same `mirror-syncer adopt` again, "
                "which goes on where it stopped; if that tree is no more, `mirror-syncer adopt` without --from ends it"
            )
        if not known:
            _refuse_unadopted(settings)
    volume = Volume(settings.data, mirror_id=catalog.mirror_id, known=known, reserve=settings.disk_reserve)
    try:
        if not volume.durability.syncs_file_system:
            log.warning("each file is synced by itself", file_system=volume.durability.file_system)
        if volume.mirror_id != catalog.mirror_id:
            projects = rebuild_catalog(catalog=catalog, volume=volume)
            log.warning("the catalog was lost, and is made anew from the pages", projects=projects)
    except BaseException:
        volume.close()
        raise
    return volume


def _refuse_unadopted(settings: Settings) -> None:
    """
    Raise where pages lie that no syncer of ours wrote: bandersnatch's.

    Over them a sync would take a JSON page for our own and its files' long paths for good, and fetch all of a project
    that has HTML alone.
    """
    base = settings.data / "pypi"
    simple = base / "web" / "simple"
    if (base / ".mirror-id").exists() or not simple.is_dir():
        return
    with os.scandir(simple) as entries:
        if any(entries):
            raise VolumeError(
                f"{simple} holds another program's pages: `mirror-syncer adopt` makes them this mirror's, without "
                "fetching anything anew. Otherwise, point MIRROR_DATA to another directory"
            )

"""Checks before a mirror opens: do tree and catalog belong together, may the tree be written, who sees passwords?"""

import os

import structlog

from mirror_syncer.catalog import Catalog, Fact
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import VolumeError
from mirror_syncer.publish.recovery import rebuild
from mirror_syncer.upstream import ClientOptions
from mirror_syncer.upstream.http.proxies import shown_logins
from mirror_syncer.volume import Volume

log = structlog.get_logger()


def warn_of_exposed_passwords(client: ClientOptions, *, upstream: str) -> None:
    """Log a warning for each password that others can read."""
    if client.credentials is not None and client.credentials.in_clear:
        log.warning("MIRROR_UPSTREAM is not https: user and password are sent unencrypted", upstream=upstream)
    for variable in shown_logins():
        log.warning("docker inspect shows the proxy's password; put it into MIRROR_UPSTREAM_NETRC", variable=variable)


def open_tree(settings: Settings, *, catalog: Catalog, adopting: bool = False) -> Volume:
    """
    Lock the tree for a catalog; rebuild a lost catalog from the tree's pages.

    Args:
        adopting: accept pages of another program.

    Raises:
        VolumeError: the tree cannot be locked or used, belongs to another program, or is half adopted.
    """
    known = bool(catalog.projects.page(limit=1))
    if not adopting:
        if begun := catalog.recall(Fact.ADOPTING):
            raise VolumeError(
                f"the adoption of {begun} is not finished: run the same `mirror-syncer adopt` again to continue it; "
                "if that tree no longer exists, end the adoption with `mirror-syncer adopt` without --from"
            )
        if not known:
            _refuse_unadopted(settings)
    volume = Volume(settings.data, mirror_id=catalog.mirror_id, known=known, reserve=settings.disk_reserve)
    try:
        if not volume.durability.by_group:
            log.warning(
                "this file system needs one sync per file, which is slower", file_system=volume.durability.file_system
            )
        if volume.mirror_id != catalog.mirror_id:
            projects = rebuild(catalog=catalog, volume=volume)
            log.warning("the catalog was lost and has been rebuilt from the pages", projects=projects)
    except BaseException:
        volume.close()
        raise
    return volume


def _refuse_unadopted(settings: Settings) -> None:
    """
    Refuse a tree with pages that this syncer did not write, such as bandersnatch's.

    A sync would mistake their JSON pages for its own, keep the files' long paths forever, and download all files of a
    project that has only an HTML page.
    """
    base = settings.data / "pypi"
    simple = base / "web" / "simple"
    if (base / ".mirror-id").exists() or not simple.is_dir():
        return
    with os.scandir(simple) as entries:
        if any(entries):
            raise VolumeError(
                f"{simple} holds another program's pages: take them over with `mirror-syncer adopt`, which downloads "
                "nothing again, or point MIRROR_DATA to another directory"
            )

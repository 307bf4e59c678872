"""Checks before a mirror opens: do tree and catalog belong together, may the tree be written, who sees passwords?"""

import os
from pathlib import Path

import structlog

from mirror_syncer.catalog import Catalog, Fact
from mirror_syncer.config.bucket import BucketAccess
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import VolumeError
from mirror_syncer.publish.recovery import rebuild_catalog
from mirror_syncer.upstream import ClientOptions
from mirror_syncer.upstream.http.proxies import list_exposed_passwords
from mirror_syncer.volume import AnyVolume, Bucket, Volume

log = structlog.get_logger()


def warn_of_exposed_passwords(client: ClientOptions, *, upstream: str) -> None:
    """Log a warning for each password that others can read."""
    if client.credentials is not None and client.credentials.sent_in_clear:
        log.warning("MIRROR_UPSTREAM is not https: user and password are sent unencrypted", upstream=upstream)
    for variable in list_exposed_passwords():
        log.warning("docker inspect shows the proxy's password; put it into MIRROR_UPSTREAM_NETRC", variable=variable)


def open_tree(settings: Settings, *, catalog: Catalog) -> AnyVolume:
    """
    Lock the tree for a catalog; rebuild a lost catalog from the tree's pages.

    Raises:
        VolumeError: the tree cannot be locked or used, belongs to another program, or is half adopted.
    """
    location = settings.location()
    if isinstance(location, BucketAccess):
        return _open_bucket(location, settings, catalog=catalog)
    return open_directory(location, settings, catalog=catalog)


def _open_bucket(access: BucketAccess, settings: Settings, *, catalog: Catalog) -> Bucket:
    bucket = Bucket(
        access,
        scratch=settings.scratch,
        mirror_id=catalog.mirror_id,
        known=bool(catalog.projects.page(limit=1)),
        reserve=settings.disk_reserve,
    )
    try:
        if bucket.is_lost:
            _rebuild(catalog, bucket)
    except BaseException:
        bucket.close()
        raise
    return bucket


def open_directory(root: Path, settings: Settings, *, catalog: Catalog, adopting: bool = False) -> Volume:
    """
    Lock a tree in a directory, as ``open_tree``.

    Args:
        adopting: accept pages of another program.
    """
    known = bool(catalog.projects.page(limit=1))
    if not adopting:
        if begun := catalog.recall(Fact.ADOPTING):
            raise VolumeError(
                f"the adoption of {begun} is not finished: run the same `mirror-syncer adopt` again to continue it; "
                "if that tree no longer exists, end the adoption with `mirror-syncer adopt` without --from"
            )
        if not known:
            _refuse_unadopted(root)
    volume = Volume(root, mirror_id=catalog.mirror_id, known=known, reserve=settings.disk_reserve)
    try:
        if not volume.durability.syncs_file_system:
            log.warning(
                "this file system needs one sync per file, which is slower", file_system=volume.durability.file_system
            )
        if volume.mirror_id != catalog.mirror_id:
            _rebuild(catalog, volume)
    except BaseException:
        volume.close()
        raise
    return volume


def _rebuild(catalog: Catalog, volume: AnyVolume) -> None:
    projects = rebuild_catalog(catalog=catalog, volume=volume)
    log.warning("the catalog was lost and has been rebuilt from the pages", projects=projects)


def _refuse_unadopted(root: Path) -> None:
    """
    Refuse a tree with pages that this syncer did not write, such as bandersnatch's.

    A sync would mistake their JSON pages for its own, keep the files' long paths forever, and download all files of a
    project that has only an HTML page.
    """
    base = root / "pypi"
    simple = base / "web" / "simple"
    if (base / ".mirror-id").exists() or not simple.is_dir():
        return
    with os.scandir(simple) as entries:
        if any(entries):
            raise VolumeError(
                f"{simple} holds another program's pages: take them over with `mirror-syncer adopt`, which downloads "
                "nothing again, or point MIRROR_DATA to another directory"
            )

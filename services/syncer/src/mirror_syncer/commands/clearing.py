"""Clearing of a path that holds wrong content: the operator decides, since the URL's content may then change."""

import re

from mirror_syncer.catalog import Catalog
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import FileRejectedError, InvalidPageError, MirrorError
from mirror_syncer.model.names import PackagePath, parse_package_path
from mirror_syncer.publish import read_published
from mirror_syncer.publish.generations import Generations
from mirror_syncer.service.assembly import open_catalog
from mirror_syncer.service.opening_checks import open_tree
from mirror_syncer.volume import AnyVolume

_UNESCAPED_PREFIX = re.compile(r"[A-Za-z0-9._/-]*")


def clear_place(settings: Settings, text: str) -> str:
    """
    Remove the file at a path and forget its digest; return a message for the operator.

    Args:
        text: the path below ``pypi/web``, such as ``packages/ab/six-1.0.tar.gz``.

    Raises:
        MirrorError: a page names the path, an interrupted run uses it, or it never held a file.
        VolumeError: the tree cannot be opened; a running service may lock it.
    """
    try:
        place = parse_package_path(text.removeprefix("/").removeprefix("pypi/web/"))
    except FileRejectedError as error:
        raise MirrorError(str(error)) from error
    catalog = open_catalog(settings)
    try:
        with open_tree(settings, catalog=catalog) as volume:
            return _clear(place, catalog=catalog, volume=volume)
    finally:
        catalog.close()


def _clear(place: PackagePath, *, catalog: Catalog, volume: AnyVolume) -> str:
    generations = Generations(catalog=catalog, volume=volume)
    if mismatch := generations.mismatch():
        raise MirrorError(f"{mismatch}; run a sync first")
    if any(intent.place == place for intent in catalog.files.pending()):
        raise MirrorError(f"an interrupted run uses {place}; run a sync first")
    held = catalog.files.recorded_digests([place])
    if not held and volume.size(place) is None:
        raise MirrorError(f"{place} never held a file; there is nothing to clear")
    _check_unnamed(place, volume)
    generations.accept(reconciled=False)
    generations.begin()
    volume.remove(place)
    volume.discard_withdrawn(place)
    catalog.files.forget(place, generation=generations.advance())
    volume.sync()
    content = f" (its content had sha256 {held[place]})" if held else ""
    return f"{place} is free{content}; the next sync may publish other content there"


def _check_unnamed(place: PackagePath, volume: AnyVolume) -> None:
    """Raise if a page names the path; any project's page may, so each is read."""
    begins = _UNESCAPED_PREFIX.match(place)
    assert begins is not None
    needle = begins[0].encode()
    for name in volume.projects():
        body = volume.page(name)
        if body is None or needle not in body:
            continue
        try:
            published = read_published(volume, name)
        except InvalidPageError:
            raise MirrorError(
                f"the page of {name} is damaged and may name {place}; run verify --repair first"
            ) from None
        if published is not None and place in published.places.values():
            raise MirrorError(f"the page of {name} names {place}, so it cannot be cleared")

"""What a client could not install from the published pages: releases that require what no page offers."""

import asyncio
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from email.parser import BytesParser
from functools import lru_cache
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from syncer.site import Site


def missing(site: Site) -> list[str]:
    """
    Return what published releases require and no published file meets.

    Pages change while they are read: what requires something is read first, and again before it counts.
    """
    found = []
    for name in site.pages():
        for filename, requirement in _requirements(site, name):
            required = canonicalize_name(requirement.name)
            offered = sorted(_versions(site, required))
            is_met = any(requirement.specifier.contains(version, prereleases=True) for version in offered)
            if not is_met and filename in dict(_places(site, name)):
                found.append(f"{filename} requires {requirement}; offered: {', '.join(map(str, offered))}")
    return found


@asynccontextmanager
async def watched(site: Site) -> AsyncIterator[list[str]]:
    """
    Look at the published pages again and again during the block; yield what was ever missing.

    It looks in the event loop, between the steps of the sync, so it sees each commit group whole: a group renames its
    pages one after the other, and those of a circle have no order in which each can be installed.
    """
    found: list[str] = []
    ended = asyncio.Event()

    async def watch() -> None:
        while not ended.is_set():
            found.extend(missing(site))
            await asyncio.sleep(0.002)

    watching = asyncio.create_task(watch())
    try:
        yield found
    finally:
        ended.set()
        await watching


def _places(site: Site, name: str) -> Iterator[tuple[str, Path]]:
    try:
        published = site.published(name)
    except FileNotFoundError:
        return
    for filename, place in published.places.items():
        if not published.files[filename].yanked:
            yield filename, site.web / place


def _requirements(site: Site, name: str) -> Iterator[tuple[str, Requirement]]:
    for filename, path in _places(site, name):
        for line in _requires_dist(path):
            yield filename, Requirement(line)


def _versions(site: Site, name: str) -> set[Version]:
    return {parse_wheel_filename(filename)[1] for filename, _ in _places(site, name)}


@lru_cache(maxsize=1_000)
def _requires_dist(path: Path) -> tuple[str, ...]:
    with zipfile.ZipFile(path) as wheel:
        metadata = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        return tuple(BytesParser().parsebytes(wheel.read(metadata)).get_all("Requires-Dist", ()))

"""The project list, ``/simple/``, in JSON and HTML."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from packaging.utils import NormalizedName

from mirror_syncer.catalog import Catalog
from mirror_syncer.publish.pages import API_VERSION
from mirror_syncer.volume import PageSet, Volume


class ProjectList:
    """The list as it is published: always what the catalog says, written only where that changed."""

    def __init__(self, *, catalog: Catalog, volume: Volume) -> None:
        self._catalog = catalog
        self._volume = volume
        self._writing = asyncio.Lock()

    async def publish(self, *, without: frozenset[NormalizedName] = frozenset()) -> None:
        """Publish the list of published projects, less those that are about to be withdrawn."""
        async with self._writing:
            await asyncio.to_thread(self._write, without)

    def _write(self, without: frozenset[NormalizedName]) -> None:
        listed = (
            ListedProject(row.name, row.serial)
            for row in self._catalog.projects.every()
            if row.published and row.name not in without
        )
        if staged := self._volume.stage(None, render_list(listed)):
            self._volume.durability.sync()
            staged.publish()


@dataclass(frozen=True, slots=True)
class ListedProject:
    """A line of the list."""

    name: NormalizedName
    serial: int | None


def render_list(projects: Iterable[ListedProject]) -> PageSet:
    """
    Render the project list.

    Args:
        projects: the published ones, sorted by name.
    """
    projects = list(projects)
    entries = [
        # With a serial each, as PyPI's: a mirror of this mirror sees what changed without asking for every page.
        {"name": project.name} | ({} if project.serial is None else {"_last-serial": project.serial})
        for project in projects
    ]
    serials = [project.serial for project in projects if project.serial is not None]
    meta = {"api-version": API_VERSION} | ({"_last-serial": max(serials)} if serials else {})
    anchors = "".join(f'    <a href="{project.name}/">{project.name}</a><br>\n' for project in projects)
    html = (
        '<!DOCTYPE html>\n<html lang="en">\n  <head>\n    <meta charset="utf-8">\n'
        f'    <meta name="pypi:repository-version" content="{API_VERSION}">\n'
        f"    <title>Simple index</title>\n  </head>\n  <body>\n{anchors}  </body>\n</html>\n"
    )
    document = {"meta": meta, "projects": entries}
    return PageSet(html=html.encode(), json=msgspec.json.encode(document, order="deterministic") + b"\n")

"""The project list, ``/simple/``, in JSON and HTML: streamed, since PyPI's has 890,000 lines and 90 MB."""

import asyncio
import itertools
import json
from collections.abc import Iterable

from packaging.utils import NormalizedName

from mirror_syncer.catalog import Catalog, Fact
from mirror_syncer.publish.pages import API_VERSION
from mirror_syncer.volume import StreamedPages, Volume

_LINES_AT_ONCE = 5_000
_HEAD = f"""<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="pypi:repository-version" content="{API_VERSION}">
    <title>Simple index</title>
  </head>
  <body>
"""
_FOOT = "  </body>\n</html>\n"


class ProjectList:
    """The list as it is published: what the catalog says, both formats at once, written only where it changed."""

    def __init__(self, *, catalog: Catalog, volume: Volume) -> None:
        self._catalog = catalog
        self._volume = volume
        self._writing = asyncio.Lock()
        self._changed = True

    def changed(self) -> None:
        """Note that a project came, went or got another serial."""
        self._changed = True

    async def publish(self, *, without: frozenset[NormalizedName] = frozenset()) -> None:
        """Publish the list of published projects, less those that are about to be withdrawn."""
        async with self._writing:
            if self._changed or without or not self._volume.lists():
                self._changed = bool(without)
                await asyncio.to_thread(self._write, without)

    def _write(self, without: frozenset[NormalizedName]) -> None:
        streamed = self._volume.stream_list()
        try:
            listed = (line for line in self._catalog.projects.listed() if line[0] not in without)
            render_list(listed, newest=self._catalog.projects.newest_serial(), into=streamed)
            page, digest = streamed.finish()
            if digest == self._catalog.recall(Fact.LIST) and self._volume.lists():
                page.discard()
                return
            self._volume.durability.sync()
            page.publish(self._volume.durability)
            self._catalog.remember(Fact.LIST, digest)
        except BaseException:
            streamed.discard()
            self._changed = True
            raise


def render_list(
    projects: Iterable[tuple[NormalizedName, int | None]], *, newest: int | None, into: StreamedPages
) -> None:
    """
    Render the project list.

    Args:
        projects: name and serial of each, by name. A normalized name needs no escaping in either format.
        newest: the highest serial.
    """
    meta: dict[str, object] = (
        {"api-version": API_VERSION}
        if newest is None
        else {
            # PyPI's own key: a mirror of this mirror sees what changed without asking for every page.
            "_last-serial": newest,
            "api-version": API_VERSION,
        }
    )
    into.html.write(_HEAD)
    into.json.write(f'{{"meta":{json.dumps(meta, separators=(",", ":"))},"projects":[')
    lines = iter(projects)
    comma = ""
    while some := list(itertools.islice(lines, _LINES_AT_ONCE)):
        into.html.write("".join([f'    <a href="{name}/">{name}</a><br>\n' for name, _ in some]))
        entries = [
            f'{{"name":"{name}"}}' if serial is None else f'{{"_last-serial":{serial},"name":"{name}"}}'
            for name, serial in some
        ]
        into.json.write(comma + ",".join(entries))
        comma = ","
    into.html.write(_FOOT)
    into.json.write("]}\n")

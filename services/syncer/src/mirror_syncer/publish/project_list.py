"""The project list, ``/simple/``, in JSON and HTML: streamed, because PyPI's has 890,000 lines and 90 MB."""

import asyncio
import hashlib
import itertools
import json
from collections.abc import Iterable
from typing import Literal, Protocol

import structlog
from packaging.utils import NormalizedName

from mirror_syncer.catalog import Catalog, Fact
from mirror_syncer.errors import VolumeFullError
from mirror_syncer.model.serials import MAX_SERIAL_LEAD, is_outlier
from mirror_syncer.publish.pages import API_VERSION
from mirror_syncer.volume import AnyVolume, digest_of

log = structlog.get_logger()

_BATCH_LINES = 5_000
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


_FORMS = ("index.html", "index.v1_json")

ListDamage = tuple[str, Literal["missing", "wrong"]]
"""A form of the list, and its kind of damage."""


class _Text(Protocol):
    def write(self, text: str, /) -> object: ...


class _Output(Protocol):
    @property
    def html(self) -> _Text: ...
    @property
    def json(self) -> _Text: ...


class _Digest:
    def __init__(self) -> None:
        self._whole = hashlib.sha256()

    def write(self, text: str, /) -> None:
        self._whole.update(text.encode())

    def hexdigest(self) -> str:
        return self._whole.hexdigest()


class _Digests:
    """An output that only computes the digests of a list."""

    def __init__(self) -> None:
        self.html = _Digest()
        self.json = _Digest()


class ProjectList:
    """The published list, rendered from the catalog in both formats, and written only when it changed."""

    def __init__(self, *, catalog: Catalog, volume: AnyVolume) -> None:
        self._catalog = catalog
        self._volume = volume
        self._writing = asyncio.Lock()
        self._changed = True
        self._accept_reset = False
        self._shown: str | None = None
        """The digest of the published list, once it is known."""

    def mark_changed(self) -> None:
        """Mark the list as outdated: a project was added, removed or got another serial."""
        self._changed = True

    def rewrite(self) -> None:
        """Publish the list, replacing any list on disk. It blocks, and nothing else may run."""
        self._changed, self._shown = True, None
        self._write(frozenset())

    async def publish(self, *, without: frozenset[NormalizedName] = frozenset(), accept_reset: bool = False) -> None:
        """
        Publish the list of published projects, without those about to be withdrawn.

        Args:
            accept_reset: the operator accepts a lower serial, so an implausibly high one may be dropped.
        """
        async with self._writing:
            self._accept_reset = accept_reset
            if accept_reset:
                self._changed, self._shown = True, None  # the list on disk is not trusted
            if self._changed or without or not await self._volume.call(self._volume.has_project_list):
                self._changed = bool(without)
                await asyncio.to_thread(self._write, without)

    async def publish_without(self, names: Iterable[NormalizedName]) -> None:
        """
        Publish the list without the projects about to be withdrawn.

        On a full disk it cannot be written before their removal frees space; the list is then published afterwards.
        """
        try:
            await self.publish(without=frozenset(names))
        except VolumeFullError as error:
            log.warning("the disk is full; publishing the project list after the removals", why=str(error))

    async def find_damage(self) -> list[ListDamage]:
        """Return the forms of the published list that are missing or differ from the last published list."""
        async with self._writing:
            return await asyncio.to_thread(self._find_damage)

    async def repair(self) -> None:
        """Publish the list again if it is damaged."""
        async with self._writing:
            if await asyncio.to_thread(self._find_damage):
                self._shown = None  # the list on disk is not trusted
                await asyncio.to_thread(self._write, frozenset())

    def _find_damage(self) -> list[ListDamage]:
        stored = self._catalog.recall(Fact.LIST)
        if stored is None:
            return []  # nothing was published by this catalog
        found = {form: self._volume.list_digests(form) for form in _FORMS}
        right = {form: plain for form, (plain, _) in found.items()}
        if stored != digest_of(plain or "" for plain in right.values()):
            # Find the damaged form; there is none if a power cut lost only the catalog's digest of the list.
            rendered = _Digests()
            render_list(self._catalog.projects.listed(), serial=self._published_serial(), into=rendered)
            right = dict(zip(_FORMS, (rendered.html.hexdigest(), rendered.json.hexdigest()), strict=True))
        damages: list[ListDamage] = []
        for form, (plain, twin) in found.items():
            if plain != right[form]:
                damages.append((form, "missing" if plain is None else "wrong"))
            if twin not in (None, right[form]):
                damages.append((f"{form}.gz", "wrong"))
        return damages

    def _write(self, without: frozenset[NormalizedName]) -> None:
        streamed = self._volume.stream_list()
        try:
            listed = (line for line in self._catalog.projects.listed() if line[0] not in without)
            serial = self._serial(without)
            render_list(listed, serial=serial, into=streamed)
            page, digest = streamed.finish()
            if self._volume.has_project_list() and digest == (self._shown or self._digest_on_disk()):
                page.discard()
                if serial is not None and serial != self._published_serial():
                    self._catalog.remember(Fact.LIST_SERIAL, str(serial))
                return
            self._volume.sync()
            if serial is not None:
                self._catalog.remember(Fact.LIST_SERIAL, str(serial))
            self._volume.publish(page)
            self._shown = digest
            self._catalog.remember(Fact.LIST, digest)
        except BaseException:
            streamed.discard()
            self._changed, self._shown = True, None
            raise

    def _digest_on_disk(self) -> str | None:
        """
        Return the digest of the list on disk, or None if it is incomplete.

        The catalog's digest is no substitute: a power cut may have lost the list alone. Hashing 90 MB takes 0.1 s.
        """
        found = [self._volume.list_digests(form) for form in _FORMS]
        whole = all(plain is not None and twin in (None, plain) for plain, twin in found)
        return digest_of(plain or "" for plain, _ in found) if whole else None

    def _serial(self, without: frozenset[NormalizedName]) -> int | None:
        """
        Return the list's serial: that of its newest project, or the last one plus one if the list changed otherwise.

        It never decreases, unlike the serial of the newest project when that project is removed: a mirror of this
        mirror accepts an absence only when a newer list confirms it. An implausible last serial is dropped.
        """
        newest, last, committed = (
            self._catalog.projects.newest_serial(),
            self._published_serial(),
            # While removals are pending, this list does not yet match upstream's serial.
            None if without or self._catalog.has_pending_removals() else self._catalog.serials(),
        )
        if newest is not None and committed is not None and committed[0] <= newest + MAX_SERIAL_LEAD:
            newest = max(newest, committed[0])  # upstream's serial grows when a project is removed, and so does ours
        if newest is None or last is None or newest > last:
            return newest if last is None else max(newest or 0, last)
        if is_outlier(last, newest) or (self._accept_reset and last > newest + MAX_SERIAL_LEAD):
            return newest
        shown = self._shown or self._digest_on_disk()
        if shown is None:
            return last
        rendered = _Digests()
        listed = (line for line in self._catalog.projects.listed() if line[0] not in without)
        render_list(listed, serial=last, into=rendered)
        same = digest_of((rendered.html.hexdigest(), rendered.json.hexdigest())) == shown
        return last if same else last + 1

    def _published_serial(self) -> int | None:
        stored = self._catalog.recall(Fact.LIST_SERIAL)
        return self._catalog.projects.newest_serial() if stored is None else int(stored)


def render_list(projects: Iterable[tuple[NormalizedName, int | None]], *, serial: int | None, into: _Output) -> None:
    """
    Render the project list.

    Args:
        projects: name and serial of each, sorted by name. A normalized name needs no escaping in either format.
        serial: the serial of the list.
    """
    meta: dict[str, object] = (
        {"api-version": API_VERSION}
        if serial is None
        else {
            # PyPI's private key: a mirror of this mirror finds changes without requesting every page.
            "_last-serial": serial,
            "api-version": API_VERSION,
        }
    )
    into.html.write(_HEAD)
    into.json.write(f'{{"meta":{json.dumps(meta, separators=(",", ":"))},"projects":[')
    lines = iter(projects)
    comma = ""
    while some := list(itertools.islice(lines, _BATCH_LINES)):
        into.html.write("".join([f'    <a href="{name}/">{name}</a><br>\n' for name, _ in some]))
        if serial is not None:
            # No project's serial exceeds the list's: a mirror that continues from the highest would miss all changes.
            some = [(name, its if its is None or its <= serial else serial) for name, its in some]
        entries = [
            f'{{"name":"{name}"}}' if its is None else f'{{"_last-serial":{its},"name":"{name}"}}' for name, its in some
        ]
        into.json.write(comma + ",".join(entries))
        comma = ","
    into.html.write(_FOOT)
    into.json.write("]}\n")

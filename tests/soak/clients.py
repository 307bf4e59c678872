"""Clients of the tree, which compare each file with its page and with earlier downloads."""

import asyncio
import hashlib
import random
from collections.abc import Callable
from pathlib import Path

from packaging.utils import NormalizedName

from mirror_syncer.model.page import PublishedPage
from mirror_syncer.publish import parse_published

_PAUSE_SECONDS = 0.1  # three of them: 80 files a second, which leaves the processors to the syncer
_FILES_A_PAGE = 4


class Clients:
    """
    Read pages and files, at random, all the time.

    Args:
        web: what nginx serves.
        any_name: returns the next project to read.

    Attributes:
        looks: the number of files read and hashed.
        wrong: files that differed from their page.
        changed: URLs that had other bytes before.
        lost: files that a page names and that are missing.
    """

    def __init__(self, web: Path, *, any_name: Callable[[], str]) -> None:
        self.looks = 0
        self.wrong: list[str] = []
        self.changed: list[str] = []
        self.lost: list[str] = []
        self._web = web
        self._any_name = any_name
        self._known: dict[str, str] = {}

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await asyncio.to_thread(self.read_page, NormalizedName(self._any_name()))
            await asyncio.sleep(_PAUSE_SECONDS)

    def read_page(self, name: NormalizedName) -> None:
        """Read a project's page and a few of its files."""
        if (published := self._page(name)) is None:
            return
        for filename in random.sample(sorted(published.files), min(_FILES_A_PAGE, len(published.files))):
            place, file = published.places[filename], published.files[filename]
            self._compare(name, filename, place, file.sha256)
            if isinstance(file.core_metadata, str):
                self._compare(name, filename, f"{place}.metadata", file.core_metadata)

    def _compare(self, name: NormalizedName, filename: str, place: str, sha256: str) -> None:
        try:
            found = hashlib.sha256((self._web / place).read_bytes()).hexdigest()
        except FileNotFoundError:
            # A file quarantined after the page was read leaves at once, but its page changed before.
            now = self._page(name)
            if now is not None and now.places.get(filename) in (place, place.removesuffix(".metadata")):
                self.lost.append(place)
            return
        self.looks += 1
        if found != sha256:
            self.wrong.append(place)
        if self._known.setdefault(place, found) != found:
            self.changed.append(place)

    def _page(self, name: NormalizedName) -> PublishedPage | None:
        try:
            body = (self._web / "simple" / name / "index.v1_json").read_bytes()
        except FileNotFoundError:
            return None
        return parse_published(body, name=name)

"""
``python -m bench.policy_change``: how long a changed policy takes to plan over all of PyPI, and how much memory.

First the projects that it concerns are found, then the files of the largest are judged by both policies.
"""

import multiprocessing
import resource
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.utils import NormalizedName

from bench.decisions import page_of
from mirror_syncer.catalog import Catalog
from mirror_syncer.config import Policy, fingerprint
from mirror_syncer.config.mirror_toml.tables import parse_policy
from mirror_syncer.model.names import PackagePath
from mirror_syncer.model.page import Page, PublishedPage
from mirror_syncer.publish.pages import parse_published, render_page
from mirror_syncer.runs.sync.policy_preview import FilePreviewer, ProjectsConcerned

_PROJECTS = 886_000
_FILES = 23  # of each project: 20 M in all
_JUDGED = 200  # projects with 400 files each; a plan judges up to 5,000, as far as its minute allows
_MOST_SECONDS = 60
_MOST_MEGABYTES = 150
_EVERYTHING = '[mirror]\nscope = "everything"\n'
_CANDIDATES = {
    "nothing": _EVERYTHING,
    "1,000 lines": f"{_EVERYTHING}projects = {[f'project-{number}<2' for number in range(1_000)]}\n",
    "latest = 3": f"{_EVERYTHING}latest = 3\n",
    "machines": f'{_EVERYTHING}[machines]\npythons = ["3.12"]\nplatforms = ["linux-x86_64"]\n',
    "exclude 10 %": f'{_EVERYTHING}exclude = ["*-7*", "/^tf-.*/"]\n',
    "block": f'{_EVERYTHING}[block]\nprojects = ["acme-*", "project-1234", "project-77*"]\n',
    "a selection": '[mirror]\nprojects = ["project-1", "project-2"]\n',
}


def main() -> None:
    """Find out which of 886,000 published projects each of several candidates concerns."""
    with TemporaryDirectory() as directory:
        current = parse_policy(_EVERYTHING.encode())
        maker = multiprocessing.get_context("spawn").Process(target=_make_catalog, args=(Path(directory), current))
        maker.start()
        maker.join()
        pages = _Pages(Path(directory))
        idle = _peak_megabytes()
        with closing(Catalog.in_directory(Path(directory))) as catalog:
            for name, text in _CANDIDATES.items():
                candidate = parse_policy(text.encode())
                began = time.perf_counter()
                found = ProjectsConcerned(current, candidate, catalog)
                seconds = time.perf_counter() - began
                rate = _judge(current, candidate, found, pages)
                memory = _peak_megabytes() - idle
                verdict = "" if seconds <= _MOST_SECONDS and memory <= _MOST_MEGABYTES else "  TOO MUCH"
                print(
                    f"{name:14} {seconds:6.1f} s {memory:6.0f} MB over idle, {found.others:8,} concerned, "
                    f"{found.leaving:8,} leave{rate}{verdict}"
                )


class _Pages:
    """A page of 400 files under each name, read from the disk and parsed each time."""

    def __init__(self, directory: Path) -> None:
        self._page = page_of(1, releases=160)
        self._file = directory / "index.v1_json"
        files = [(file, PackagePath(f"packages/00/{file.filename}")) for file in self._page.files]
        self._file.write_bytes(render_page(self._page, files).json)
        self.files = len(files)

    def read(self, _name: NormalizedName) -> tuple[Page, PublishedPage]:
        """Return the page as upstream's, and as ours."""
        published = parse_published(self._file.read_bytes(), name=self._page.name)
        return published.page, published


def _judge(current: Policy, candidate: Policy, concerned: ProjectsConcerned, pages: _Pages) -> str:
    """Judge files by both policies, and say how long that takes."""
    concerned.largest = concerned.largest[:_JUDGED]
    began = time.process_time()
    preview = FilePreviewer(current, candidate, pages=pages, seconds=600).preview(concerned)
    seconds, judged = time.process_time() - began, preview.judged - concerned.leaving
    return f", {judged * pages.files / seconds:,.0f} files judged a second" if judged else ""


def _make_catalog(directory: Path, policy: Policy) -> None:
    """Fill a catalog as a sync of all of PyPI leaves it; in a process of its own, whose memory is not measured."""
    with closing(Catalog.in_directory(directory)):
        pass
    by = fingerprint(policy.usual, legacy_json=False)
    with closing(sqlite3.connect(directory / "catalog.sqlite")) as database, database:
        database.executemany(
            "INSERT INTO project (name, state, serial, wanted_serial, published, fingerprint, file_count, stored_bytes,"
            " withheld_files, missing_files, attempts, checked_at) VALUES (?, 'current', ?, ?, 1, ?, ?, ?, 0, 0, 0, 1)",
            (
                (f"project-{number}", number + 1, number + 1, by, _FILES, 1_000 * (number % 9_973))
                for number in range(_PROJECTS)
            ),
        )


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()

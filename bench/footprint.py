"""
``python -m bench.footprint``: shows how many bytes of a selection ``[machines]`` leaves out, rule by rule.

The selection is ``bench/footprint.txt``: what ``uv pip compile`` finds for ``django``, ``jupyter``, ``jupyterlab`` and
``fastapi[standard]`` on Linux and Windows. Only these projects' pages are requested, and no file. The pages stay in a
directory: a later run asks whether they changed, or with ``--offline`` does not ask.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from packaging.utils import NormalizedName, canonicalize_name

from mirror_syncer.config import decide
from mirror_syncer.config.mirror_toml.tables import parse_policy
from mirror_syncer.config.settings import read_settings
from mirror_syncer.model.page import File, Page
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.validators import Validators
from mirror_syncer.upstream import Client, Gone, Index, NotModified, PageResponse, parse_page

_SELECTION = Path(__file__).with_name("footprint.txt")
_REQUESTS = 4  # at once
_MB = 1_000_000
_PLATFORMS = 'platforms = ["linux-x86_64", "windows-amd64"]'
_PYTHONS = 'pythons = ["3.11", "3.12", "3.13"]'
# Each adds one rule to the one before.
_RULES = {
    "without [machines]": (),
    _PLATFORMS: (_PLATFORMS,),
    _PYTHONS: (_PLATFORMS, _PYTHONS, 'sdists = "all"'),
    'sdists = "where-needed"': (_PLATFORMS, _PYTHONS),
}


class _Stored(msgspec.Struct):
    """A page as it was received, and its validators."""

    body: bytes
    content_type: str
    url: str
    etag: str | None
    last_modified: str | None


def main() -> None:
    """Judge each page by more and more rules, and print the bytes that stay."""
    parser = argparse.ArgumentParser(prog="python -m bench.footprint")
    parser.add_argument("--pages", type=Path, default=Path("build/footprint"), help="where the pages are kept")
    parser.add_argument("--offline", action="store_true", help="judge the kept pages, and request none")
    parser.add_argument("--latest", type=int, default=1, metavar="N", help="how many releases of each project (1)")
    arguments = parser.parse_args()
    names = [canonicalize_name(name) for name in _SELECTION.read_text(encoding="utf-8").split()]
    if not arguments.offline:
        arguments.pages.mkdir(parents=True, exist_ok=True)
        asyncio.run(_request(names, arguments.pages))
    _report([_page(arguments.pages, name) for name in names], latest=arguments.latest)


async def _request(names: Sequence[NormalizedName], directory: Path) -> None:
    """Request each page once, and keep those that changed."""
    left, settings, changed = iter(names), read_settings(), 0

    async def worker(index: Index) -> None:
        nonlocal changed
        for name in left:
            known = _validators(directory, name)
            match await index.page(name, validators=known, priority=Priority.NAMED):
                case PageResponse() as answer:
                    changed += 1
                    validators = answer.validators
                    kept = _Stored(
                        answer.body, answer.content_type, answer.url, validators.etag, validators.last_modified
                    )
                    _place(directory, name).write_bytes(msgspec.msgpack.encode(kept))
                case NotModified():
                    pass
                case Gone():
                    raise SystemExit(f"{name}: upstream has no such project; correct {_SELECTION.name}")

    async with Client(settings.client_options()) as client, asyncio.TaskGroup() as group:
        index = Index(settings.upstream, client=client)
        for _ in range(_REQUESTS):
            group.create_task(worker(index))
    print(f"{len(names)} pages requested, {changed} new or changed")


def _report(pages: Sequence[Page], *, latest: int) -> None:
    """Print a line for each rule: what is kept, and what the rule alone left out or added."""
    whole = before = 0
    for rule, lines in _RULES.items():
        kept = [file for page in pages for file in _kept(page, lines, latest=latest)]
        if unknown := sum(file.size is None for file in kept):
            raise SystemExit(f"upstream gives no size for {unknown} files, so their bytes cannot be added up")
        size = sum(file.size or 0 for file in kept)
        whole = whole or size
        more = (size - before) / whole if before else 0
        print(f"{rule:46} {len(kept):6} files {size / _MB:9.1f} MB {size / whole:7.1%} {more:+7.1%}")
        before = size


def _kept(page: Page, machines: Sequence[str], *, latest: int) -> Sequence[File]:
    """Return the files of a page that a new mirror publishes."""
    tables = [
        f'[mirror]\nprojects = ["{page.name}"]\nlatest = {latest}',
        *(("[machines]", *machines) if machines else ()),
    ]
    policy = parse_policy("\n".join(tables).encode()).project(page.name)
    assert policy is not None
    return decide(page, None, policy, now=int(time.time())).keep


def _place(directory: Path, name: NormalizedName) -> Path:
    return directory / f"{name}.msgpack"


def _load(directory: Path, name: NormalizedName) -> _Stored:
    return msgspec.msgpack.decode(_place(directory, name).read_bytes(), type=_Stored)


def _validators(directory: Path, name: NormalizedName) -> Validators:
    if not _place(directory, name).exists():
        return Validators()
    stored = _load(directory, name)
    return Validators(stored.etag, stored.last_modified)


def _page(directory: Path, name: NormalizedName) -> Page:
    stored = _load(directory, name)
    return parse_page(stored.body, content_type=stored.content_type, name=name, url=stored.url, serial=None)


if __name__ == "__main__":
    main()

"""``python -m bench.decisions``: shows how many files a second one core decides about."""

import gc
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName

from mirror_contract.distributions import Installers
from mirror_syncer.config import Age, Block, ProjectPolicy, Rules, Selection, VersionRule, decide
from mirror_syncer.config.advisories import Severity
from mirror_syncer.config.advisories.advisory import Advisory, Kind
from mirror_syncer.config.advisories.affected import Interval
from mirror_syncer.config.machines.compatibility import Compatibility
from mirror_syncer.config.machines.machines import Machines
from mirror_syncer.model.names import Filename, PackagePath, Sha256
from mirror_syncer.model.page import File, Page, PublishedPage

_PER_BLOCK = 20  # one project of so many has blocked versions
_NOW = 1_796_000_000  # 2026-11-29
_FILES = 20_000
_REPEATS = 5  # the best counts: a neighbour on the same core only slows a run down
_ALL = SpecifierSet()
_MACHINES = Machines.parse(
    ["3.11", "3.12", "3.13", "3.13t"],
    ["linux-x86_64", "linux-aarch64", "linux-x86_64:musl1.2", "macos-arm64", "windows-amd64"],
)
_TAGS = (
    *(f"{python}-{python}-{platform}"
      for python in ("cp311", "cp312", "cp313")
      for platform in ("manylinux_2_28_x86_64", "macosx_11_0_arm64", "win_amd64")),
    "py3-none-any",
)  # fmt: skip
_REQUIRES_PYTHON = (">=3.8", ">=3.9,<4", None, ">=3.12")
_ADVISORY = Advisory(
    id="GHSA-1",
    aliases=(),
    kind=Kind.VULNERABILITY,
    severity=Severity.HIGH,
    reviewed=True,
    summary="it is vulnerable",
    versions="",
    intervals=(Interval("0.1", "0.1.1"),),
    hashes=frozenset(),
    fixed=(),
)
_POLICIES = {
    "everything": ProjectPolicy(Selection("foo", (VersionRule(_ALL, None),))),
    "versions": ProjectPolicy(Selection("foo>=0.5", (VersionRule(SpecifierSet(">=0.5"), None),))),
    "latest": ProjectPolicy(Selection("foo", (VersionRule(_ALL, 3),))),
    "an advisory": ProjectPolicy(Selection("foo", (VersionRule(_ALL, 3),)), blocks=(_ADVISORY,)),
    "cooldown": ProjectPolicy(Selection("foo", (VersionRule(_ALL, None),)), Rules(age=Age(min=timedelta(days=7)))),
    "all rules": ProjectPolicy(
        Selection("foo", (VersionRule(_ALL, 3),)),
        Rules(
            machines=_MACHINES,
            age=Age(min=timedelta(days=7)),
            hashes=frozenset({Sha256("f" * 64)}),
            superseded=timedelta(days=90),
        ),
    ),
}


def main() -> None:
    """Decide about usual and large pages, new and published, by each kind of policy."""
    usual, large = [page_of(number, releases=9) for number in range(_FILES // 24)], [page_of(1, releases=_FILES // 3)]
    gc.freeze()  # a worker has a few pages in memory, not a thousand
    for words, policy in _POLICIES.items():
        for size, pages in (("usual", usual), ("large", large)):
            policies = [policy if number % _PER_BLOCK else _with_block(policy) for number in range(1, len(pages) + 1)]
            for state in ("new", "published"):
                before = [_published(page, policy) if state == "published" else None for page in pages]
                seconds = min(_seconds(pages, before, policies) for _ in range(_REPEATS))
                rate = sum(len(page.files) for page in pages) / seconds
                print(f"{words:12} {size:7} {state:9} {rate:12,.0f} files a second")
    names = [(file.filename, _REQUIRES_PYTHON[number % 4]) for number, file in enumerate(large[0].files)]
    hostile = [(f"foo-1.0-py3.a{number}-none-any.whl", f">=3.8,!=3.0.{number}") for number in range(_FILES)]
    for kind, files in (("usual", names), ("hostile", hostile)):
        print(f"machines     {kind:17} {_fits(files):12,.0f} files a second")


def _seconds(pages: Sequence[Page], before: Sequence[PublishedPage | None], policies: Sequence[ProjectPolicy]) -> float:
    """Return the processor seconds of a decision about each page."""
    began = time.process_time()
    for page, published, policy in zip(pages, before, policies, strict=True):
        decide(page, published, policy, now=_NOW)
    return time.process_time() - began


def _fits(files: Sequence[tuple[str, str | None]]) -> float:
    """Return how many files a second are fitted to machines, by their names and their requires-python."""
    fitting = Compatibility(_MACHINES)
    began = time.process_time()
    for filename, requires_python in files:
        fitting.fits(filename, Installers.ALL, requires_python)
    return len(files) / (time.process_time() - began)


def _with_block(policy: ProjectPolicy) -> ProjectPolicy:
    return replace(policy, blocks=(Block(SpecifierSet("==0.3"), "blocked"),)) if policy.rules.age.is_on else policy


def page_of(number: int, *, releases: int) -> Page:
    """Return a page as PyPI's are: each release has a source distribution and a few wheels, the older ones fewer."""
    name = NormalizedName(f"foo{number}")
    files = [
        _file(f"{name}-{release // 50}.{release % 50}{ending}", content=release, age=(releases - release) * 20)
        for release in range(releases)
        for ending in (".tar.gz", *(f"-{_TAGS[(release + tag) % len(_TAGS)]}.whl" for tag in range(release % 4)))
    ]
    return Page(name, tuple(files))


def _file(filename: str, *, content: int, age: int) -> File:
    uploaded = datetime.fromtimestamp(_NOW, UTC) - timedelta(days=age % 6_000 + 1)
    return File(
        Filename(filename),
        url=f"https://files.example/{filename}",
        sha256=Sha256(f"{content:064x}"),
        size=1,
        upload_time=f"{uploaded:%Y-%m-%dT%H:%M:%S}.123456Z",
        requires_python=_REQUIRES_PYTHON[content % 4],
    )


def _published(page: Page, policy: ProjectPolicy) -> PublishedPage:
    """Return what a sync by this policy publishes of a page."""
    page = replace(page, files=decide(page, None, policy, now=_NOW).served)
    places: dict[str, PackagePath] = {file.filename: PackagePath(f"packages/00/{file.filename}") for file in page.files}
    return PublishedPage(page, {file.filename: file for file in page.files}, places)


if __name__ == "__main__":
    main()

"""``python -m bench.decisions``: shows how many files a second one core decides about."""

import time
from collections.abc import Sequence

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName

from mirror_contract.distributions import Installers
from mirror_syncer.config import ProjectPolicy, Selection, VersionRule, decide
from mirror_syncer.config.compatibility import Compatibility
from mirror_syncer.config.machines import Machines
from mirror_syncer.model.names import Filename, PackagePath, Sha256
from mirror_syncer.model.page import File, Page, PublishedPage

_FILES = 20_000
_PER_RELEASE = 4
_NAME = NormalizedName("foo")
_ALL = SpecifierSet()
_SELECTIONS = {
    "everything": Selection(line="foo", rules=(VersionRule(_ALL, None),)),
    "versions": Selection(line="foo>=1.9", rules=(VersionRule(SpecifierSet(">=1.9"), None),)),
    "latest": Selection(line="foo", rules=(VersionRule(_ALL, 3),)),
}
_MACHINES = Machines.parse(
    ["3.11", "3.12", "3.13", "3.13t"],
    ["linux-x86_64", "linux-aarch64", "linux-x86_64:musl1.2", "macos-arm64", "windows-amd64"],
)
_REQUIRES_PYTHON = (">=3.8", ">=3.9,<4", None, ">=3.12")


def main() -> None:
    """Decide about a large page, new and published, by each kind of line in mirror.toml."""
    page = Page(_NAME, tuple(_file(number) for number in range(_FILES)))
    places: dict[str, PackagePath] = {file.filename: PackagePath(f"packages/00/{file.filename}") for file in page.files}
    published = PublishedPage(page, {file.filename: file for file in page.files}, places)
    for line, selection in _SELECTIONS.items():
        for state, before in (("new", None), ("published", published)):
            began = time.process_time()
            decide(page, before, ProjectPolicy(selection), now=0)
            rate = _FILES / (time.process_time() - began)
            print(f"{line:10} {state:9} {rate:12,.0f} files a second")  # noqa: T201
    usual = [
        (file.filename, _REQUIRES_PYTHON[number % len(_REQUIRES_PYTHON)]) for number, file in enumerate(page.files)
    ]
    hostile = [(f"foo-1.0-py3.a{number}-none-any.whl", f">=3.8,!=3.0.{number}") for number in range(_FILES)]
    for kind, files in (("usual", usual), ("hostile", hostile)):
        print(f"machines   {kind:9} {_fits(files):12,.0f} files a second")  # noqa: T201


def _fits(files: Sequence[tuple[str, str | None]]) -> float:
    """Return how many files a second are fitted to machines, by their names and their requires-python."""
    fitting = Compatibility(_MACHINES)
    began = time.process_time()
    for filename, requires_python in files:
        fitting.fits(filename, Installers.ALL, requires_python)
    return len(files) / (time.process_time() - began)


def _file(number: int) -> File:
    release, tag = divmod(number, _PER_RELEASE)
    filename = Filename(f"foo-1.{release}-cp3{tag}-cp3{tag}-manylinux_2_28_x86_64.whl")
    return File(filename=filename, url=f"https://files.example/{filename}", sha256=Sha256(f"{number:064x}"), size=1)


if __name__ == "__main__":
    main()

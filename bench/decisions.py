"""``python -m bench.decisions``: shows how many files a second one core decides about."""

import time

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName

from mirror_syncer.config import ProjectPolicy, Selection, VersionRule, decide
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


def _file(number: int) -> File:
    release, tag = divmod(number, _PER_RELEASE)
    filename = Filename(f"foo-1.{release}-cp3{tag}-cp3{tag}-manylinux_2_28_x86_64.whl")
    return File(filename=filename, url=f"https://files.example/{filename}", sha256=Sha256(f"{number:064x}"), size=1)


if __name__ == "__main__":
    main()

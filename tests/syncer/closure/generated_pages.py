"""Generated indexes with pages and metadata, as a closure sees them, and a source that answers from memory."""

import asyncio
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from packaging.utils import NormalizedName, canonicalize_name

from mirror_syncer.config import Policy
from mirror_syncer.config.mirror_toml.tables import parse_policy
from mirror_syncer.errors import MirrorError
from mirror_syncer.model.names import Filename, PackagePath, Sha256
from mirror_syncer.model.page import File, Page, PublishedPage
from mirror_syncer.model.requirement_lines import RequirementLines

NOW = 1_796_000_000
_DAYS = ("2025-01-01", "2026-01-01", "2026-11-20", "2026-11-21")  # two of them before a cooldown of a week, at NOW
_TAGS = ("py3-none-any", "cp311-cp311-win_amd64", "cp311-cp311-manylinux_2_17_x86_64", "cp313-cp313-win_amd64")
_FINALS = ("1.0", "1.1", "2.0", "2.1", "3.0")
_VERSIONS = (*_FINALS, "2.0rc1", "3.1a1", "1.0+cpu", "1.0.0", "0.9.dev1")
_RANGES = ("", "", ">=1.1", "<2.0", ">=2.0", "!=1.1", "==1.0", "==1.*", "~=1.0", "<3", ">=1.1,<3")
_SPECIFIERS = (*_RANGES, *_RANGES, "===1.1", ">=2.0rc1", "==3.1a1", ">9")
_PYTHONS = (None, None, None, ">=3.12", "<3.12", ">=3.8")
_ODD = ("a b c", "b @ https://example.org/b.whl", "c>=", "d; python_version <> '3'", "a>=1.0.*")
_CONDITIONS = (
    "sys_platform == 'win32'",
    "sys_platform != 'win32'",
    "python_version < '3.12'",
    "python_version >= '3.12'",
    "os_name == 'nt' and python_version >= '3.12'",
)
EXTRAS = ("x", "y", "all")
TWO_BY_TWO = '[machines]\npythons = ["3.11", "3.13"]\nplatforms = ["linux-x86_64", "windows-amd64"]'
_MACHINES = ("", TWO_BY_TWO, TWO_BY_TWO, '[machines]\npythons = ["3.11"]\nplatforms = ["linux-x86_64"]')


@dataclass(frozen=True)
class GeneratedIndex:
    """Upstream: its pages, and what each file's metadata says."""

    pages: Mapping[NormalizedName, Page]
    lines: Mapping[Sha256, RequirementLines]
    """By the file's hash."""

    def file(self, filename: str) -> tuple[NormalizedName, File]:
        """Return a file, and whose it is."""
        return next(
            (name, file) for name, page in self.pages.items() for file in page.files if file.filename == filename
        )


class IndexMaker:
    """Builds an index release by release."""

    def __init__(self) -> None:
        self._pages: dict[NormalizedName, list[File]] = {}
        self._lines: dict[Sha256, RequirementLines] = {}

    def project(self, name: str) -> None:
        """Add a project without files, unless it is there."""
        self._pages.setdefault(canonicalize_name(name), [])

    def upload(
        self,
        name: str,
        version: str,
        *requires: str,
        tag: str = "py3-none-any",
        sdist: bool = False,
        extras: Sequence[str] = (),
        requires_python: str | None = None,
        yanked: bool = False,
        day: str = "2025-01-01",
        has_metadata: bool = True,
        lines: RequirementLines | None = None,
    ) -> File:
        """Add a file."""
        stem = f"{name.replace('-', '_')}-{version}"
        filename = f"{stem}.tar.gz" if sdist else f"{stem}-{tag}.whl"
        if lines is None:
            build = ("setuptools>=1",) if sdist else None
            lines = RequirementLines(tuple(requires), tuple(extras), requires_python, build_requires=build)
        digest = _digest(filename)
        metadata = _digest(repr((lines, name, version))) if has_metadata and not sdist else False
        file = File(
            Filename(filename),
            f"https://files.example.org/{digest}/{filename}",
            digest,
            size=1_000 + len(self._lines),
            upload_time=f"{day}T00:00:00Z",
            requires_python=requires_python,
            yanked=yanked,
            core_metadata=metadata,
        )
        self._pages.setdefault(canonicalize_name(name), []).append(file)
        self._lines[digest] = lines
        return file

    def index(self) -> GeneratedIndex:
        """Return the index."""
        pages = {name: Page(name, tuple(files)) for name, files in self._pages.items()}
        return GeneratedIndex(pages, dict(self._lines))


class MemorySource:
    """
    Answers a closure from a generated index, and notes each question that would be a request to upstream.

    Args:
        failing: files whose metadata cannot be had.
        delays: answers come in another order.
    """

    def __init__(self, index: GeneratedIndex, *, failing: Collection[str] = (), delays: Random | None = None) -> None:
        self.index = index
        self.requests: list[str] = []
        self.on_disk: dict[NormalizedName, PublishedPage] = {}
        self._failing = failing
        self._delays = delays
        self._known = set[str]()
        """Files and pages that were asked for before: the catalog has them."""

    async def page(self, name: NormalizedName) -> Page | None:
        """Return upstream's page."""
        self._note(f"page {name}")
        await self._wait()
        return self.index.pages.get(name)

    def is_unconfirmed(self, name: NormalizedName) -> bool:
        """Return whether upstream has no such project."""
        return name not in self.index.pages

    async def published(self, name: NormalizedName) -> PublishedPage | None:
        """Return what a test has published."""
        await self._wait()
        return self.on_disk.get(name)

    async def requirement_lines(self, name: NormalizedName, file: File) -> RequirementLines:
        """Return what a file's metadata says."""
        assert name in self.index.pages
        key = file.core_metadata if isinstance(file.core_metadata, str) else file.sha256
        if file.filename not in self._on_disk(name):
            self._note(f"metadata {key}")
        self._known.add(file.sha256)
        await self._wait()
        if file.filename in self._failing:
            raise MirrorError(f"{file.filename} cannot be read")
        return self.index.lines[file.sha256]

    async def prefetch(self, files: Iterable[File]) -> None:
        """Do nothing: all is in memory."""

    def is_known(self, file: File) -> bool:
        """Return whether a file's metadata was asked for."""
        return file.sha256 in self._known

    def publish(self, kept: Mapping[NormalizedName, Iterable[File]]) -> None:
        """Make files the published ones."""
        self.on_disk = {name: published_page(name, files) for name, files in kept.items()}

    def _on_disk(self, name: NormalizedName) -> Mapping[str, File]:
        page = self.on_disk.get(name)
        return {} if page is None else page.files

    def _note(self, request: str) -> None:
        if request not in self._known:
            self._known.add(request)
            self.requests.append(request)

    async def _wait(self) -> None:
        for _ in range(self._delays.randrange(4) if self._delays else 0):
            await asyncio.sleep(0)


def published_page(name: NormalizedName, files: Iterable[File]) -> PublishedPage:
    """Return a page as this mirror publishes it."""
    found = tuple(files)
    places: dict[str, PackagePath] = {
        file.filename: PackagePath(f"files/{file.sha256}/{file.filename}") for file in found
    }
    return PublishedPage(Page(name, found), {file.filename: file for file in found}, places)


@dataclass(frozen=True)
class Wanted:
    """A ``mirror.toml``, by its parts."""

    lines: tuple[str, ...]
    """As they are written in TOML."""
    machines: str = ""
    latest: int = 1
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    blocked: tuple[str, ...] = ()
    min_age: str = ""
    more: str = ""

    def policy(self) -> Policy:
        """Return the policy that it states."""
        groups = ", ".join(f"{name} = {_toml(items)}" for name, items in self.groups)
        text = f"""
[mirror]
projects = [{", ".join(self.lines)}]
{self.machines}
[dependencies]
latest = {self.latest}
groups = {{ {groups} }}
{self.more}
[block]
projects = {_toml(self.blocked)}
[age]
{self.min_age}
"""
        return parse_policy(text.encode())


@dataclass(frozen=True)
class Scale:
    """How large and how odd a generated index is."""

    projects: int = 6
    releases: int = 4
    requirements: int = 3
    versions: Sequence[str] = _VERSIONS
    specifiers: Sequence[str] = _SPECIFIERS
    pythons: Sequence[str | None] = _PYTHONS
    sdists: bool = True
    oddities: float = 0.04
    yanked: float = 0.1
    missing: float = 0.02
    without_metadata: float = 0.3

    def names(self) -> list[str]:
        """Return the names of the projects."""
        return [f"p{number}" for number in range(self.projects)]


SMALL = Scale()
PLAIN = replace(
    SMALL,
    versions=_FINALS,
    specifiers=_RANGES,
    pythons=_PYTHONS[:1],
    sdists=False,
    oddities=0,
    yanked=0,
    without_metadata=0,
)
"""What pip, uv and this program agree on."""


def make_index(random: Random, scale: Scale = SMALL) -> GeneratedIndex:
    """Return an index: circles, markers, extras, conflicts, yanked files, and wheels that differ."""
    maker, names = IndexMaker(), scale.names()
    maker.upload("setuptools", "80.0")
    maker.upload("wheel", "0.40")
    for name in names:
        count = min(scale.releases, len(scale.versions))
        for version in random.sample(scale.versions, random.randint(1, count)):
            _upload_release(maker, random, scale, name, version)
    return maker.index()


def _upload_release(maker: IndexMaker, random: Random, scale: Scale, name: str, version: str) -> None:
    requires_python, day = random.choice(scale.pythons), random.choice(_DAYS)
    yanked = random.random() < scale.yanked
    requires = _requirements(random, scale, name)
    kinds = (_TAGS[:1], _TAGS[:1], _TAGS[:1], _TAGS[1:], _TAGS[1:3], ())
    tags = random.choice(kinds if scale.sdists else kinds[:-1])
    has_metadata = random.random() >= scale.without_metadata
    for tag in tags:
        if random.random() < scale.oddities * 4:
            requires = _requirements(random, scale, name)
        maker.upload(
            name,
            version,
            *requires,
            tag=tag,
            extras=EXTRAS,
            requires_python=requires_python,
            yanked=yanked,
            day=day,
            has_metadata=has_metadata,
        )
    if not tags or (scale.sdists and random.random() < 0.3):
        lines = RequirementLines(
            tuple(requires),
            EXTRAS,
            requires_python,
            is_dynamic=random.random() < scale.oddities,
            build_requires=("setuptools",),
        )
        maker.upload(name, version, sdist=True, requires_python=requires_python, yanked=yanked, day=day, lines=lines)


def _requirements(random: Random, scale: Scale, name: str) -> list[str]:
    found = [_requirement(random, scale) for _ in range(random.randrange(scale.requirements + 1))]
    if random.random() < 0.2:  # an extra that is the sum of others, as in "all"
        found.append(f"{name}[x,y]; extra == 'all'")
    if random.random() < scale.oddities:
        found.append(random.choice(_ODD))
    return found


def _requirement(random: Random, scale: Scale) -> str:
    name = "missing" if random.random() < scale.missing else random.choice(scale.names())
    conditions = [random.choice(_CONDITIONS)] if random.random() < 0.3 else []
    if random.random() < 0.3:
        conditions.append(f"extra == '{random.choice(EXTRAS)}'")
    extras = random.choice(("", "", "", "[x]", "[y]", "[all]"))
    marker = f"; {' and '.join(conditions)}" if conditions else ""
    return f"{name}{extras}{random.choice(scale.specifiers)}{marker}"


def make_wanted(random: Random, scale: Scale = SMALL) -> Wanted:
    """Return lines, machines, groups, blocks and a cooldown."""
    selected = random.choice((None, 1, 1, 2))
    lines = tuple(make_line(random, scale, latest=selected) for _ in range(random.randint(1, 3)))
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    if random.random() < 0.4:
        groups = (("web", tuple(_item(random, scale) for _ in range(2))),)
    return Wanted(
        lines,
        machines=random.choice(_MACHINES),
        latest=random.choice((1, 1, 2)),
        groups=groups,
        blocked=(f"{random.choice(scale.names())}>={random.choice(('1.1', '3'))}",) if random.random() < 0.2 else (),
        min_age='min = "1000d"' if random.random() < 0.02 else 'min = "14d"' if random.random() < 0.2 else "",
    )


def make_line(random: Random, scale: Scale = SMALL, *, latest: int | None = None) -> str:
    """Return a line as it is written in TOML."""
    text = _item(random, scale)
    if random.random() < 0.2:
        text += "; sys_platform == 'win32'"
    return f'"{text}"' if latest is None else f'{{ name = "{text}", latest = {latest} }}'


def _item(random: Random, scale: Scale) -> str:
    extras = random.choice(("", "", "", "[x]", "[all]"))
    specifier = random.choice(("", "", "", ">=1.1", "<3", "!=1.1"))
    return f"{random.choice(scale.names())}{extras}{specifier}"


def _digest(text: str) -> Sha256:
    return Sha256(hashlib.sha256(text.encode()).hexdigest())


def _toml(items: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{item}"' for item in items) + "]"

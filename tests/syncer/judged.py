"""Random pages and policies, and the decisions about them, for the laws of the one judgement."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import InvalidVersion, Version

from mirror_contract import Choice
from mirror_syncer.config import Age, Exemption, ProjectPolicy, Selection, VersionRule, decide
from mirror_syncer.config.locks import Pin
from mirror_syncer.config.machines.machines import Machines
from mirror_syncer.config.policy.block import Block
from mirror_syncer.config.policy.file_rules import FileRules
from mirror_syncer.config.policy.project_policy import Rules
from mirror_syncer.model.decision import Decision
from mirror_syncer.model.names import Filename, PackagePath, Sha256
from mirror_syncer.model.page import File, Page, PublishedPage

FOO = NormalizedName("foo")
NOW = int(datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp())
DAY = 86_400
VERSIONS = ("0.9", "1.0", "1.1", "2.0rc1", "2.0", "2.0+cpu", "2.1.dev1", "nothing")
WHEELS = (
    "py3-none-any.whl",
    "cp311-cp311-manylinux_2_17_x86_64.whl",
    "cp312-cp312-win_amd64.whl",
    "cp313-cp313-macosx_11_0_arm64.whl",
)
KINDS = (*WHEELS, ".tar.gz", ".win32.exe")
Content = tuple[str, str]


def filename(version: str, kind: str) -> Filename:
    """Return the name of a file of foo."""
    return Filename(f"foo-{version}{kind}" if kind.startswith(".") else f"foo-{version}-{kind}")


def file(
    version: str = "1.0",
    kind: str = "py3-none-any.whl",
    *,
    age: float | None = 0,
    content: int = 1,
    yanked: bool = False,
    requires_python: str | None = None,
) -> File:
    """Return a file of foo that was uploaded a number of seconds before NOW; None: nobody knows when."""
    name = filename(version, kind)
    return File(
        filename=name,
        url="",
        sha256=Sha256(hashlib.sha256(f"{name} {content}".encode()).hexdigest()),
        size=content,
        upload_time=None if age is None else upload_time(NOW - age),
        yanked=yanked,
        requires_python=requires_python,
    )


def upload_time(seconds: float) -> str:
    """Return a time in PyPI's form, with the fraction of a second if there is one."""
    moment = datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)
    return f"{moment.replace(tzinfo=None).isoformat()}Z"


def uploaded(one: File) -> float | None:
    """Return a file's upload time in seconds since the epoch."""
    return None if one.upload_time is None else datetime.fromisoformat(one.upload_time).timestamp()


def version_of(one: File) -> Version | None:
    """Return the version in a file's name, read without the product's parser."""
    stem = one.filename.removeprefix("foo-")
    text = stem.split("-")[0] if stem.endswith(".whl") else stem.removesuffix(".tar.gz").removesuffix(".win32.exe")
    try:
        return Version(text)
    except InvalidVersion:
        return None


def place(name: str) -> PackagePath:
    """Return the path of a file."""
    return PackagePath(f"packages/00/{name}")


def publish(files: Iterable[File]) -> PublishedPage:
    """Return a page with these files as if it were published."""
    page = Page(FOO, tuple(files))
    return PublishedPage(
        page, {one.filename: one for one in page.files}, {f.filename: place(f.filename) for f in page.files}
    )


def contents(found: Iterable[File]) -> set[Content]:
    """Return files by name and digest."""
    return {(one.filename, one.sha256) for one in found}


def choices(decision: Decision) -> dict[Content, Choice]:
    """Return what is decided about each file."""
    return {(one.filename, one.file.sha256): one.choice for one in decision.files if one.file}


def kept(files: Iterable[File], policy: ProjectPolicy, *, now: int = NOW, before: Iterable[File] = ()) -> set[str]:
    """Return the names of the files that a mirror serves of a page."""
    published = publish(before)
    decision = decide(Page(FOO, tuple(files)), published, policy, now=now)
    return {one.filename for one in decision.served}


@dataclass(frozen=True)
class Wish:
    """A policy for one project, in the few words that tests need."""

    lines: tuple[tuple[str, int | None, bool | None], ...] = (("", None, None),)
    """Specifier, latest, pre-releases."""
    age: Age = field(default_factory=Age)
    machines: Machines = field(default_factory=Machines)
    files: FileRules = field(default_factory=FileRules)
    exemptions: tuple[Exemption, ...] = ()
    blocks: tuple[Block, ...] = ()
    pins: tuple[Pin, ...] = ()
    hashes: frozenset[Sha256] = frozenset()
    superseded: timedelta = timedelta(0)
    named: bool = False

    @property
    def policy(self) -> ProjectPolicy:
        """The policy."""
        rules = tuple(VersionRule(SpecifierSet(spec), latest, pre) for spec, latest, pre in self.lines)
        return ProjectPolicy(
            Selection("foo", rules, named=self.named),
            Rules(self.machines, self.files, self.age, self.hashes, self.superseded),
            self.exemptions,
            self.blocks,
            self.pins,
        )


def exempt(specifier: str = "", *, until: int | None = None, released: bool = False) -> Exemption:
    """Return an exemption."""
    return Exemption(SpecifierSet(specifier), until, "it is needed", released)


def block(specifier: str) -> Block:
    """Return a line of [block]."""
    return Block(SpecifierSet(specifier), "malware")


def pin(version: str | None, *files: File) -> Pin:
    """Return what a lock says of a version, with the hashes of these files."""
    found = None if version is None else Version(version)
    return Pin(FOO, found, frozenset(one.sha256 for one in files), "uv.lock, line 1")


# Strategies

ages = st.one_of(
    st.none(),
    st.integers(-3 * DAY, 40 * DAY),
    st.sampled_from([0, 1, DAY, 7 * DAY, 7 * DAY + 1, 7 * DAY - 1, 7 * DAY - 0.5, 7 * DAY + 0.000001, DAY + 0.999999]),
)
aged_files = st.builds(
    file,
    st.sampled_from(VERSIONS),
    st.sampled_from(KINDS),
    age=ages,
    content=st.integers(1, 2),
    yanked=st.sampled_from([False, False, True]),
    requires_python=st.sampled_from([None, None, None, ">=3.9", ">=3.12", ">=3.12.4", "<3.12", "!=3.12.*", "banana"]),
)
many_files = st.lists(aged_files, max_size=9, unique_by=lambda one: one.filename).map(tuple)
specifiers = st.sampled_from(["", "", "<2", ">=1.1", "==1.*", "==99"])
lines = st.tuples(specifiers, st.none() | st.integers(1, 3), st.sampled_from([None, False, True]))
age_rules = st.builds(
    Age,
    min=st.sampled_from([timedelta(0), timedelta(days=1), timedelta(days=7)]),
    not_after=st.none() | st.sampled_from([datetime.fromtimestamp(NOW - 3 * DAY, UTC)]),
    hold_unknown=st.booleans(),
    locked=st.booleans(),
)
machines = st.sampled_from(
    [
        Machines(),
        Machines.parse(pythons=["3.11"], platforms=["linux-x86_64"]),
        Machines.parse(pythons=["3.11", "3.12"], platforms=["linux-x86_64", "windows-amd64"]),
        Machines.parse(pythons=["3.12"]),
        Machines.parse(platforms=["windows-amd64"], sdists="none"),
    ]
)
file_rules = st.builds(
    FileRules,
    yanked=st.booleans(),
    max_file_size=st.sampled_from([None, None, 1]),
    max_project_size=st.sampled_from([None, None, 3]),
    uploaded_after=st.sampled_from([None, None, datetime.fromtimestamp(NOW - 20 * DAY, UTC)]),
)
exemptions = st.builds(
    exempt,
    st.sampled_from(["", "==1.0", ">=2"]),
    until=st.none() | st.integers(NOW - DAY, NOW + 3 * DAY),
    released=st.booleans(),
)
blocks = st.sampled_from(["==1.0", ">=2", "==2.0+cpu", "!=1.1"]).map(block)
pins = st.builds(lambda version, files: pin(version, *files), st.sampled_from(["1.0", "2.0"]), many_files)
digests = many_files.map(lambda files: frozenset(one.sha256 for one in files[:2]))
wishes = st.builds(
    Wish,
    lines=st.lists(lines, min_size=1, max_size=2).map(tuple),
    age=age_rules,
    machines=machines,
    files=st.just(FileRules()) | file_rules,
    exemptions=st.lists(exemptions, max_size=2).map(tuple),
    blocks=st.lists(blocks, max_size=1).map(tuple),
    pins=st.lists(pins, max_size=1).map(tuple),
    hashes=st.just(frozenset()) | digests,
    superseded=st.sampled_from([timedelta(0), timedelta(days=30), timedelta(days=90)]),
    named=st.booleans(),
)


def is_blocked(one: File, wish: Wish) -> bool:
    """Return whether a version or a hash of a policy blocks a file."""
    version = version_of(one)
    by_version = version is not None and any(b.specifier.contains(version, prereleases=True) for b in wish.blocks)
    return by_version or one.sha256 in wish.hashes


def passes(one: File, wish: Wish, *, now: int = NOW) -> bool:
    """Return whether an exemption, a person or a lock lets a file pass the cooldown."""
    version = version_of(one)
    exempted = any(
        (e.until is None or now < e.until)
        and (not e.specifier if version is None else e.specifier.contains(version, prereleases=True))
        for e in wish.exemptions
    )
    locked = wish.age.locked and any(
        one.sha256 in p.hashes or (not p.hashes and p.keeps(version, one.sha256)) for p in wish.pins
    )
    return exempted or locked


def is_young(one: File, wish: Wish, *, now: int = NOW) -> bool:
    """Return whether a file is too young, by exact arithmetic."""
    if not wish.age.is_on:
        return False
    time = uploaded(one)
    if time is None:
        return wish.age.hold_unknown
    brake = wish.age.not_after
    return time + wish.age.min.total_seconds() >= now or (brake is not None and time >= int(brake.timestamp()))


def moments(decision: Decision, *, now: int) -> Iterator[int]:
    """Yield moments at which a decision must be the same as now."""
    end = now + 1_000 * DAY if decision.expires_at is None else decision.expires_at
    yield from {now + (end - now) // 2, end - 1}

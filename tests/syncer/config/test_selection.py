"""Laws of the selection that hold for every project and line of mirror.toml."""

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_contract.distributions import parse_version, read_version
from mirror_syncer.config import ProjectPolicy, Selection, VersionRule
from mirror_syncer.config.judgement.screening import Screening, screen
from mirror_syncer.model.names import Filename, Sha256
from mirror_syncer.model.page import File

law = settings(max_examples=80)
FOO = NormalizedName("foo")


def named(filename: str, yanked: bool = False) -> File:  # noqa: FBT001, FBT002 - drawn
    """Return a file with the fields that a selection reads."""
    return File(Filename(filename), url="", sha256=Sha256("0" * 64), yanked=yanked)


versions = st.from_regex(re.compile(r"[0-3]\.[0-9](\.[0-2])?((a|rc)[1-2])?(\.post1)?(\.dev1)?"), fullmatch=True)
filenames = st.one_of(
    versions.map("foo-{}.tar.gz".format),
    versions.map("foo-{}-py3-none-any.whl".format),
    versions.map("Foo-{}-py2.7.egg".format),
    versions.map("foo-{}.win32.exe".format),
    versions.map("foo-{}.tar.bz2".format),
    versions.map("foo-{}.linux-x86_64.tar.gz".format),
    versions.map("foo-{}.public.tar.gz".format),
    st.sampled_from(["foo-latest.tar.gz", "readme.txt", "foo.zip", "foo-1.0b.x-y"]),
)
projects = st.lists(st.builds(named, filenames, st.booleans()), max_size=12, unique_by=lambda file: file.filename).map(
    tuple
)
specifiers = st.sampled_from(["", ">=1", "<2", ">=1,<2", "==1.*", "!=1.1", "~=1.0", "===1.0", ">3"]).map(SpecifierSet)


def screened(files: tuple[File, ...], *rules: VersionRule) -> Screening:
    """Return the files, divided by one or several lines."""
    return screen(FOO, files, ProjectPolicy(Selection("foo", rules)), published={}, now=0)


def judged(files: tuple[File, ...], specifier: SpecifierSet, latest: int | None) -> set[File]:
    """Return the selected files, after a check that each file is either selected or left out with a reason."""
    selected = screened(files, VersionRule(specifier, latest))
    left_out = [file for file, reason in selected.left_out if reason]
    assert Counter([*selected.wanted, *left_out]) == Counter(files)
    assert [file for file in files if file in selected.wanted] == list(selected.wanted), "upstream's order stays"
    return set(selected.wanted)


def version_of(file: File) -> Version | None:
    """Return a file's version."""
    return read_version(FOO, file.filename)


@law
@given(projects)
def test_bare_name_selects_every_file(files: tuple[File, ...]) -> None:
    """A line without specifier and ``latest`` selects every file, even one without a readable version."""
    assert judged(files, SpecifierSet(), None) == set(files)


def is_installable(file: File, *, by_pip: bool) -> bool:
    """Return whether pip or uv installs a file, by its ending and the rest of its name."""
    archives = (".tar.gz", ".zip", ".tar.bz2") if by_pip else (".tar.gz", ".zip")
    ending = next((ending for ending in ("-py3-none-any.whl", *archives) if file.filename.endswith(ending)), None)
    version = file.filename.removeprefix("foo-").removesuffix(ending or "")
    return ending is not None and parse_version(version) is not None


@pytest.mark.proves("reliability/upstream")
@law
@given(projects, specifiers, st.integers(1, 5), st.booleans())
def test_latest_keeps_the_newest_installable_releases(
    files: tuple[File, ...],
    specifier: SpecifierSet,
    latest: int,
    by_pip: bool,  # noqa: FBT001 - drawn
) -> None:
    """The newest n releases that pip or uv would install are selected, whatever newer files exist."""
    wanted = judged(files, specifier, latest)
    takes = [file for file in files if is_installable(file, by_pip=by_pip) and not file.yanked]
    finals = {version for file in takes if (version := version_of(file)) and not version.is_prerelease}
    newest = sorted((v for v in finals if specifier.contains(v, prereleases=True)), reverse=True)[:latest]
    assert {file for file in takes if version_of(file) in newest} <= wanted


@law
@given(projects, specifiers, st.none() | st.integers(1, 5))
def test_selected_files_match_their_line(files: tuple[File, ...], specifier: SpecifierSet, latest: int | None) -> None:
    """The specifier admits each selected file's version; ``latest = n`` leaves n versions for each installer."""
    if not specifier and latest is None:
        return
    wanted = {version_of(file) for file in judged(files, specifier, latest)}
    assert all(version is not None and specifier.contains(version, prereleases=True) for version in wanted)
    for by_pip in (False, True):
        kinds = {version_of(file) for file in files if is_installable(file, by_pip=by_pip)}
        assert latest is None or len(wanted & kinds) <= 2 * latest
    if latest is not None and not any(file.filename.endswith(".tar.bz2") for file in files):
        assert len(wanted) <= latest


@law
@given(projects, specifiers, st.integers(1, 5))
def test_selected_version_is_selected_completely(files: tuple[File, ...], specifier: SpecifierSet, latest: int) -> None:
    """If one file of a version is selected, all its files are."""
    wanted = judged(files, specifier, latest)
    left = {version for file in files if file not in wanted and (version := version_of(file)) is not None}
    assert not {version_of(file) for file in wanted} & left


@law
@given(projects, specifiers, st.integers(1, 5))
def test_larger_latest_selects_no_less(files: tuple[File, ...], specifier: SpecifierSet, latest: int) -> None:
    """A larger ``latest`` selects all files that a smaller one selects; no ``latest`` selects the most."""
    smaller, larger = judged(files, specifier, latest), judged(files, specifier, latest + 1)
    assert smaller <= larger <= judged(files, specifier, None)


@law
@given(projects, st.integers(1, 5))
def test_final_releases_precede_prereleases(files: tuple[File, ...], latest: int) -> None:
    """``latest`` counts final releases; it counts pre-releases only if the project has nothing else."""
    files = tuple(file for file in files if is_installable(file, by_pip=False) and not file.yanked)
    wanted = {version.is_prerelease for file in judged(files, SpecifierSet(), latest) if (version := version_of(file))}
    known = {version.is_prerelease for file in files if (version := version_of(file))}
    assert wanted == ({False} if False in known else known)


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        # What nobody installs takes nobody's place, and goes where its release does.
        ("foo-1.0.tar.gz foo-1.1-py2.7.egg foo-1.2.win32.exe foo-1.3-1.noarch.rpm foo-1.4.msi", "foo-1.0.tar.gz"),
        ("foo-1.0.tar.gz foo-1.0-py2.7.egg foo-1.1-py2.7.egg", "foo-1.0.tar.gz foo-1.0-py2.7.egg"),
        ("foo-1.0.tar.gz foo-1.1-SNAPSHOT.tar.gz foo-1.2.public.tar.gz", "foo-1.0.tar.gz"),
        ("foo-1.0.tar.gz foo-2.0-nothing.whl foo-1.1.linux-x86_64.tar.gz", "foo-1.0.tar.gz"),
        # pip takes .tar.bz2, uv does not: each finds its newest.
        ("foo-1.0.tar.gz foo-1.1.tar.bz2", "foo-1.0.tar.gz foo-1.1.tar.bz2"),
        ("foo-1.0.tar.bz2 foo-1.1.tar.gz", "foo-1.1.tar.gz"),
        # Of a project that nobody installs, the newest.
        ("foo-1.0-py2.7.egg foo-1.1-py2.7.egg", "foo-1.1-py2.7.egg"),
    ],
)
def test_latest_ignores_releases_without_installable_files(files: str, wanted: str) -> None:
    """``latest`` does not count a release that no installer can install."""
    assert judged(tuple(map(named, files.split())), SpecifierSet(), 1) == set(map(named, wanted.split()))


@pytest.mark.proves("reliability/upstream")
@law
@given(projects, st.lists(st.tuples(specifiers, st.none() | st.integers(1, 3)), min_size=1, max_size=3))
def test_several_lines_are_a_union(files: tuple[File, ...], lines: list[tuple[SpecifierSet, int | None]]) -> None:
    """Several lines select exactly the files that one of them selects by its own ``latest``."""
    each = [judged(files, specifier, latest) for specifier, latest in lines]
    selected = screened(files, *(VersionRule(*line) for line in lines))
    assert set(selected.wanted) == set().union(*each)


def test_specifier_admits_prereleases() -> None:
    """A specifier also selects pre-releases, so that ``pip --pre`` finds them."""
    files = (named("foo-2.0rc1.tar.gz"), named("foo-1.0.tar.gz"))
    assert judged(files, SpecifierSet(">=1.5"), None) == {files[0]}


def test_latest_ignores_yanked_releases() -> None:
    """``latest`` does not count a yanked release, unless the project has nothing else."""
    old, good, bad = (named(f"foo-{v}.tar.gz", yanked=v == "3.0") for v in ("1.0", "2.0", "3.0"))

    assert judged((old, good, bad), SpecifierSet(), 1) == {good}
    assert judged((old, good, bad), SpecifierSet(), 3) == {old, good}
    assert judged((bad,), SpecifierSet(), 1) == {bad}

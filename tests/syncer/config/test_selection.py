"""What a line of mirror.toml selects: laws that hold for every project."""

import re
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_contract.distributions import parse_version, read_version
from mirror_syncer.config import Selection, VersionRule

law = settings(max_examples=80)
FOO = NormalizedName("foo")


@dataclass(frozen=True)
class Named:
    """A file, for as much as a selection looks at."""

    filename: str
    yanked: bool = False


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
projects = st.lists(st.builds(Named, filenames, st.booleans()), max_size=12, unique_by=lambda file: file.filename).map(
    tuple
)
specifiers = st.sampled_from(["", ">=1", "<2", ">=1,<2", "==1.*", "!=1.1", "~=1.0", "===1.0", ">3"]).map(SpecifierSet)


def judged(files: tuple[Named, ...], specifier: SpecifierSet, latest: int | None) -> set[Named]:
    """Return what is wanted, after the law that each file is either wanted or left out for a reason."""
    selected = Selection("foo", (VersionRule(specifier, latest),)).judge(FOO, files)
    left_out = [file for file, reason in selected.left_out if reason]
    assert Counter([*selected.wanted, *left_out]) == Counter(files)
    assert [file for file in files if file in selected.wanted] == list(selected.wanted), "upstream's order stays"
    return set(selected.wanted)


def told(file: Named) -> Version | None:
    """Return the version of a file."""
    return read_version(FOO, file.filename)


@law
@given(projects)
def test_a_bare_name_selects_everything(files: tuple[Named, ...]) -> None:
    """Without specifier and ``latest`` every file is wanted, also one whose version nobody can tell."""
    assert judged(files, SpecifierSet(), None) == set(files)


def taken(file: Named, *, by_pip: bool) -> bool:
    """Return whether pip, or else uv, takes a file: by its ending, and by all that follows the project's name."""
    archives = (".tar.gz", ".zip", ".tar.bz2") if by_pip else (".tar.gz", ".zip")
    ending = next((ending for ending in ("-py3-none-any.whl", *archives) if file.filename.endswith(ending)), None)
    version = file.filename.removeprefix("foo-").removesuffix(ending or "")
    return ending is not None and parse_version(version) is not None


@pytest.mark.proves("reliability/upstream")
@law
@given(projects, specifiers, st.integers(1, 5), st.booleans())
def test_latest_keeps_what_installers_take(
    files: tuple[Named, ...],
    specifier: SpecifierSet,
    latest: int,
    by_pip: bool,  # noqa: FBT001 - drawn
) -> None:
    """The newest n releases that pip, or uv, would install of all that there is are here, whatever else is newer."""
    wanted = judged(files, specifier, latest)
    takes = [file for file in files if taken(file, by_pip=by_pip) and not file.yanked]
    finals = {version for file in takes if (version := told(file)) and not version.is_prerelease}
    newest = sorted((v for v in finals if specifier.contains(v, prereleases=True)), reverse=True)[:latest]
    assert {file for file in takes if told(file) in newest} <= wanted


@law
@given(projects, specifiers, st.none() | st.integers(1, 5))
def test_what_is_wanted_matches(files: tuple[Named, ...], specifier: SpecifierSet, latest: int | None) -> None:
    """Every wanted file has a version that the specifier admits; ``latest = n`` leaves n versions to each installer."""
    if not specifier and latest is None:
        return
    wanted = {told(file) for file in judged(files, specifier, latest)}
    assert all(version is not None and specifier.contains(version, prereleases=True) for version in wanted)
    for by_pip in (False, True):
        kinds = {told(file) for file in files if taken(file, by_pip=by_pip)}
        assert latest is None or len(wanted & kinds) <= 2 * latest
    if latest is not None and not any(file.filename.endswith(".tar.bz2") for file in files):
        assert len(wanted) <= latest


@law
@given(projects, specifiers, st.integers(1, 5))
def test_a_wanted_version_is_wanted_whole(files: tuple[Named, ...], specifier: SpecifierSet, latest: int) -> None:
    """Where one file of a version is wanted all of them are, whoever takes them."""
    wanted = judged(files, specifier, latest)
    left = {version for file in files if file not in wanted and (version := told(file)) is not None}
    assert not {told(file) for file in wanted} & left


@law
@given(projects, specifiers, st.integers(1, 5))
def test_more_is_never_less(files: tuple[Named, ...], specifier: SpecifierSet, latest: int) -> None:
    """A larger ``latest`` wants all that a smaller one does; none at all wants the most."""
    smaller, larger = judged(files, specifier, latest), judged(files, specifier, latest + 1)
    assert smaller <= larger <= judged(files, specifier, None)


@law
@given(projects, st.integers(1, 5))
def test_finals_go_before_prereleases(files: tuple[Named, ...], latest: int) -> None:
    """``latest`` counts final releases; pre-releases only of a project that has nothing else."""
    files = tuple(file for file in files if taken(file, by_pip=False) and not file.yanked)
    wanted = {version.is_prerelease for file in judged(files, SpecifierSet(), latest) if (version := told(file))}
    known = {version.is_prerelease for file in files if (version := told(file))}
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
def test_latest_counts_what_installers_take(files: str, wanted: str) -> None:
    """A release that no installer takes fills no place of `latest`: what they would take is here."""
    assert judged(tuple(map(Named, files.split())), SpecifierSet(), 1) == set(map(Named, wanted.split()))


@pytest.mark.proves("reliability/upstream")
@law
@given(projects, st.lists(st.tuples(specifiers, st.none() | st.integers(1, 3)), min_size=1, max_size=3))
def test_several_lines_are_a_union(files: tuple[Named, ...], lines: list[tuple[SpecifierSet, int | None]]) -> None:
    """What one line of a project wants, by its own ``latest``, is wanted, whatever the others are; nothing else is."""
    each = [judged(files, specifier, latest) for specifier, latest in lines]
    selected = Selection("foo", tuple(VersionRule(*line) for line in lines)).judge(FOO, files)
    assert set(selected.wanted) == set().union(*each)


def test_a_specifier_admits_prereleases() -> None:
    """Who asks ``pip --pre`` of the mirror finds the pre-releases that the specifier covers."""
    files = (Named("foo-2.0rc1.tar.gz"), Named("foo-1.0.tar.gz"))
    assert judged(files, SpecifierSet(">=1.5"), None) == {files[0]}


def test_yanked_releases_do_not_count() -> None:
    """`latest` gives what installers take: a yanked release takes nobody's place, unless there is nothing else."""
    old, good, bad = (Named(f"foo-{v}.tar.gz", yanked=v == "3.0") for v in ("1.0", "2.0", "3.0"))

    assert judged((old, good, bad), SpecifierSet(), 1) == {good}
    assert judged((old, good, bad), SpecifierSet(), 3) == {old, good}
    assert judged((bad,), SpecifierSet(), 1) == {bad}

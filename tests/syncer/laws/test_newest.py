"""The newest releases: how many of them stay for each client, and for how long after newer ones came."""

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_version
from packaging.version import Version

from mirror_contract.distributions import read_release
from mirror_syncer.config import Age
from mirror_syncer.config.machines.compatibility import compatibility
from mirror_syncer.config.machines.machines import Machines
from mirror_syncer.config.policy.file_rules import FileRules
from mirror_syncer.model.page import File
from syncer.judged import DAY, FOO, NOW, WHEELS, Wish, file, is_young, kept, machines, many_files, pin, version_of

pytestmark = pytest.mark.proves("reliability/removal")
law = settings(max_examples=200)
QUARTER = timedelta(days=90)


def releases_for(client: int, files: Iterable[File], asked: Machines) -> list[Version]:
    """Return the public versions that one client can install of some files, the newest first."""
    fits = compatibility(asked)
    found = set()
    for one in files:
        version = version_of(one)
        installers = read_release(FOO, one.filename)[1]
        if version is not None and not one.yanked and installers != "none":
            # Without [machines] no requires-python is read.
            clients = fits.fits(one.filename, installers, None if asked.are_all else one.requires_python)
            if clients >> client & 1:
                found.add(Version(version.public))
    return sorted(found, reverse=True)


@law
@given(many_files, machines, st.integers(1, 3), st.sampled_from([timedelta(0), timedelta(days=7)]))
def test_each_client_has_its_newest_releases(
    files: tuple[File, ...], asked: Machines, latest: int, min_age: timedelta
) -> None:
    """
    Of the mature releases that a machine can install, the newest N are there, or all there are.

    That holds for pip, for uv, and for pip on the first patch release of each Python.
    """
    wish = Wish(lines=(("", latest, True),), machines=asked, age=Age(min=min_age))
    wheels = tuple(one for one in files if one.filename.endswith(".whl"))
    there = kept(wheels, wish.policy)
    mature = [one for one in wheels if not is_young(one, wish)]
    count = len(compatibility(asked).names(compatibility(asked).everyone))
    for client in range(3 * count):
        had = releases_for(client, mature, asked)
        has = releases_for(client, (one for one in wheels if one.filename in there), asked)
        assert has[:latest] == had[:latest], (client, asked)


MACHINE_PARTS = st.sampled_from([("3.11", "linux-x86_64"), ("3.12", "windows-amd64"), ("3.13", "macos-arm64")])


@law
@given(many_files, machines, st.none() | st.integers(1, 2), st.sampled_from(["", "<2", ">=1.1"]))
def test_client_without_a_final_has_its_newest_prereleases(
    files: tuple[File, ...], asked: Machines, latest: int | None, line: str
) -> None:
    """A line's newest N finals of each client are there, or its newest N pre-releases where it can install no final."""
    wheels = tuple(one for one in files if one.filename.endswith(".whl") and not one.yanked)
    there = kept(wheels, Wish(lines=((line, latest, False),), machines=asked).policy)
    admitted = SpecifierSet(line, prereleases=True)
    for client in range(3 * len(compatibility(asked).names(compatibility(asked).everyone))):
        had = [version for version in releases_for(client, wheels, asked) if version in admitted]
        finals = [version for version in had if not version.is_prerelease]
        has = releases_for(client, (one for one in wheels if one.filename in there), asked)
        assert set((finals or had)[:latest]) <= set(has), (client, asked)


@law
@given(many_files, st.sets(MACHINE_PARTS, min_size=1), MACHINE_PARTS, st.none() | st.integers(1, 2))
def test_one_more_machine_takes_nothing_away(
    files: tuple[File, ...], asked: set[tuple[str, str]], more: tuple[str, str], latest: int | None
) -> None:
    """What a line selects for some machines stays when another machine is added, pre-releases included."""
    wish = Wish(lines=(("", latest, False),))
    wheels = tuple(one for one in files if one.filename.endswith(".whl") and not one.yanked)
    before, after = (
        kept(
            wheels,
            replace(wish, machines=Machines.parse(sorted({p for p, _ in some}), sorted({s for _, s in some}))).policy,
        )
        for some in (asked, asked | {more})
    )
    assert before <= after


@law
@given(
    files=many_files,
    more=many_files,
    latest=st.integers(1, 2),
    prereleases=st.sampled_from([None, False, True]),
    days=st.integers(0, 89),
)
def test_new_releases_take_nothing_away_at_once(
    *, files: tuple[File, ...], more: tuple[File, ...], latest: int, prereleases: bool | None, days: int
) -> None:
    """What clients can install of a project now stays for 90 days, whatever its owner uploads later."""
    wish = Wish(lines=(("", latest, prereleases),), superseded=QUARTER)
    old = tuple(
        one
        for one in files
        if not one.yanked
        and read_release(FOO, one.filename)[1] != "none"
        and not is_young(one, Wish(age=Age(min=timedelta(seconds=1))))
    )
    before = kept(old, wish.policy)
    ours = [one for one in old if one.filename in before]
    names = {one.filename for one in old}
    new = tuple(_uploaded_now(one) for one in more if one.filename not in names)
    assert before <= kept((*old, *new), wish.policy, now=NOW + days * DAY, before=ours)


def _uploaded_now(one: File) -> File:
    return File(one.filename, "", one.sha256, size=1, upload_time="2026-11-30T12:00:00Z")


def test_first_patch_release_of_a_python_keeps_its_newest_release() -> None:
    """A release that needs a later patch release of the only Python leaves the one before it for 3.12.0."""
    asked = Machines.parse(pythons=["3.12"], platforms=["linux-x86_64"])
    files = [file("1.0", age=9), file("1.1", age=9), file("2.0", age=9, requires_python=">=3.12.4")]
    wish = Wish(lines=(("", 1, False),), machines=asked)
    assert kept(files, wish.policy) == {files[1].filename, files[2].filename}


def test_superseded_release_leaves_after_its_time() -> None:
    """A release that a newer one pushed out stays for 90 days after that one appeared, cooldown included."""
    old, new = file("1.0", age=400 * DAY), file("2.0", age=10 * DAY)
    wish = Wish(lines=(("", 1, False),), superseded=QUARTER, age=Age(min=timedelta(days=7)))
    end = NOW + 87 * DAY
    assert kept([old, new], wish.policy, now=end - 1, before=[old, new]) == {old.filename, new.filename}
    assert kept([old, new], wish.policy, now=end, before=[old, new]) == {new.filename}
    assert kept([old, new], wish.policy) == {new.filename}, "a new mirror has nothing to keep"


def test_prereleases_stay_for_a_while_beside_the_first_final() -> None:
    """The pre-releases of a project that had nothing else stay for 90 days after its first final release."""
    early, final = file("2.0rc1", age=400 * DAY), file("2.0", age=DAY)
    for latest in (None, 1):
        wish = Wish(lines=(("", latest, False),), superseded=QUARTER)
        assert kept([early, final], wish.policy, before=[early]) == {early.filename, final.filename}
        assert kept([early, final], wish.policy, before=[early], now=NOW + 90 * DAY) == {final.filename}


def test_prerelease_stays_for_a_while_beside_the_first_final_of_its_machine() -> None:
    """A pre-release that one machine alone needs stays for 90 days after the first final that this machine installs."""
    asked = Machines.parse(pythons=["3.11"], platforms=["linux-x86_64", "windows-amd64"])
    windows, linux = "cp311-cp311-win_amd64.whl", WHEELS[1]
    final = file("1.0", windows, age=900 * DAY)
    early = [file("2.0rc1", linux, age=400 * DAY), file("2.0rc2", linux, age=100 * DAY)]
    for latest in (None, 1):
        wish = Wish(lines=(("", latest, False),), superseded=QUARTER, machines=asked)
        wanted = {one.filename for one in (early[1:] if latest else early)}
        assert kept([final, *early], wish.policy) == {final.filename} | wanted
        fitting = file("1.1", linux, age=DAY)
        both = [final, fitting]
        assert kept([*both, *early], wish.policy, before=[final, *early]) == {one.filename for one in (*both, *early)}
        assert kept([*both, *early], wish.policy, before=[final, *early], now=NOW + 89 * DAY) == {
            one.filename for one in both
        }


def test_local_version_pushes_no_release_out() -> None:
    """``1.0+cpu`` takes no place from 1.0: uv locks both, and a hash of 1.0 must be found."""
    names = {"1.0": 30, "1.0+cpu": 20, "0.9": 40}
    files = [file(version, age=age * DAY) for version, age in names.items()]
    wish = Wish(lines=(("", 1, False),), superseded=QUARTER)
    assert kept(files, wish.policy) == {files[0].filename, files[1].filename}
    assert kept(files, Wish(lines=(("", 2, False),)).policy) == {one.filename for one in files}


def test_lock_keeps_what_newer_releases_pushed_out() -> None:
    """What a lock pins stays as long as the lock says so, whatever ``latest``, machines and file rules say."""
    old = file("1.0", WHEELS[2], age=900 * DAY)
    files = [old, *(file(version, age=900 * DAY) for version in ("1.1", "2.0"))]
    linux = Machines.parse(pythons=["3.11"], platforms=["linux-x86_64"])
    wish = Wish(lines=(("", 1, False),), machines=linux, pins=(pin("1.0", old),))
    assert kept(files, wish.policy) == {old.filename, files[2].filename}


def test_large_release_leaves_the_others_alone() -> None:
    """A release larger than ``max_project_size`` is left out; the project's other releases stay."""
    files = [file("1.0", age=9, content=2), file("1.1", age=9, content=1), file("2.0", age=9, content=9)]
    wish = Wish(files=FileRules(max_project_size=3))
    assert kept(files, wish.policy) == {files[0].filename, files[1].filename}
    assert kept(files, Wish(files=FileRules(max_project_size=2)).policy) == {files[1].filename}


def test_only_selected_releases_count_for_the_size() -> None:
    """A release that no line selects, or that waits, takes no room from those that are mirrored."""
    files = [file("1.0", age=30 * DAY, content=3), file("2.0", age=DAY, content=3)]
    rules = FileRules(max_project_size=3)
    assert kept(files, Wish(lines=(("<2", None, None),), files=rules).policy) == {files[0].filename}
    assert kept(files, Wish(age=Age(min=timedelta(days=7)), files=rules).policy) == {files[0].filename}


@law
@given(many_files, st.integers(1, 6))
def test_project_stays_within_its_size(files: tuple[File, ...], limit: int) -> None:
    """The files that are kept of a project never have more bytes than ``max_project_size``."""
    there = kept(files, Wish(files=FileRules(max_project_size=limit)).policy)
    assert sum(one.size or 0 for one in files if one.filename in there) <= limit


@law
@given(many_files, st.sampled_from(["<2", ">=1.1", "==1.*", "==2.0"]), st.none() | st.integers(1, 2))
def test_line_selects_only_versions_that_it_names(files: tuple[File, ...], line: str, latest: int | None) -> None:
    """Nothing is kept whose version the line does not name."""
    for name in kept(files, Wish(lines=((line, latest, True),)).policy):
        found = re.match(r"foo-([^-]+?)(-py|-cp|\.tar|\.win)", name)
        assert found is not None
        assert SpecifierSet(line).contains(canonicalize_version(found[1], strip_trailing_zero=False), prereleases=True)

"""Blocks: what is blocked is never offered, whatever exempts, pins or publishes it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from mirror_contract import Choice
from mirror_syncer.config import Condition, Selection, VersionRule, decide
from mirror_syncer.config.locks import Pin
from mirror_syncer.config.mirror_toml.tables import parse_policy
from mirror_syncer.config.policy.block import BlockedNames
from mirror_syncer.config.policy.patterns import NamePatterns, compile_pattern
from mirror_syncer.config.policy.policy import Policy, Scope
from mirror_syncer.model.names import Sha256
from mirror_syncer.model.page import File, Page
from syncer.judged import (
    DAY,
    FOO,
    NOW,
    Wish,
    block,
    choices,
    exempt,
    file,
    is_blocked,
    kept,
    many_files,
    pin,
    publish,
    wishes,
)

pytestmark = pytest.mark.proves("reliability/blocks")
law = settings(max_examples=200)


@law
@given(files=many_files, before=many_files, wish=wishes, older=st.booleans(), allow_loss=st.booleans())
def test_blocked_file_is_never_offered(
    files: tuple[File, ...], before: tuple[File, ...], wish: Wish, *, older: bool, allow_loss: bool
) -> None:
    """No exemption, release, lock, guard or older page keeps a blocked file on the page."""
    condition = Condition(older_than=9 if older else None, allow_loss=allow_loss)
    decision = decide(Page(FOO, files, serial=8), publish(before), wish.policy, condition=condition, now=NOW)
    offered = [one for one in decision.served if is_blocked(one, wish)]
    assert offered == []


@law
@given(many_files, many_files, wishes)
def test_every_blocked_file_is_reported_as_blocked(
    files: tuple[File, ...], before: tuple[File, ...], wish: Wish
) -> None:
    """What a block names is decided as blocked, with a reason, whether it is new, published or lost upstream."""
    decision = decide(Page(FOO, files), publish(before), wish.policy, now=NOW)
    decided = choices(decision)
    named = {one.filename for one in before}
    for one in (*before, *(one for one in files if one.filename not in named)):
        if is_blocked(one, wish):
            assert decided[one.filename, one.sha256] is Choice.BLOCK
    assert all(reason for _, reason in decision.blocked)


def test_block_beats_lock_exemption_and_release() -> None:
    """A version that is blocked stays away although it is pinned, exempt and released by a person."""
    one, other = file("1.0", age=30 * DAY), file("1.1", age=30 * DAY)
    wish = Wish(blocks=(block("==1.0"),), exemptions=(exempt(released=True),), pins=(pin("1.0", one),))
    assert kept([one, other], wish.policy, before=[one, other]) == {other.filename}


def test_page_that_is_not_taken_keeps_nothing_blocked() -> None:
    """If a wrong line leaves a page as it is, its blocked files leave all the same."""
    bad, good, other = file("1.0"), file("1.1"), file("2.0")
    wish = Wish(lines=(("<2", None, None),), blocks=(block("==1.0"),), named=True)
    condition = Condition(allow_loss=True)
    decision = decide(Page(FOO, (other,)), publish([bad, good]), wish.policy, condition=condition, now=NOW)
    assert [one.filename for one in decision.served] == [good.filename]
    assert choices(decision)[bad.filename, bad.sha256] is Choice.BLOCK
    assert "selects none of its 1 files" in decision.warnings[0]


def test_block_by_hash_leaves_other_files_of_the_release() -> None:
    """A blocked content stays away under any name and version; the rest of its release stays."""
    bad, good = file("1.0", age=30 * DAY), file("1.0", ".tar.gz", age=30 * DAY)
    again = File(file("3.0").filename, "", bad.sha256)
    wish = Wish(hashes=frozenset({bad.sha256}))
    assert kept([bad, good, again], wish.policy) == {good.filename}


def test_blocked_version_makes_room_for_an_older_one() -> None:
    """A blocked release takes no place among the newest ones."""
    files = [file(version, age=30 * DAY) for version in ("1.0", "1.1", "2.0")]
    wish = Wish(lines=(("", 1, False),), blocks=(block("==2.0"),))
    assert kept(files, wish.policy, before=files[2:]) == {files[1].filename}


def test_file_without_a_version_is_blocked_with_all_versions() -> None:
    """A file whose name gives no version is blocked where every version is, and not where some are."""
    odd = file("nothing", ".tar.gz")
    assert kept([odd], Wish(blocks=(block(""),)).policy) == set()
    assert kept([odd], Wish(blocks=(block(">=0"),)).policy) == {odd.filename}


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("evilpkg", ("evilpkg",), ("evilpkg-2", "my-evilpkg")),
        ("Acme_*", ("acme-x", "acme-"), ("acme", "my-acme-x")),
        ("[ab]_corp.*", ("a-corp-x", "b-corp-"), ("c-corp-x", "a-corp")),
        ("a?c", ("abc", "a-c"), ("ac", "abbc")),
        ("/^tf-/", ("tf-x",), ("my-tf-x",)),
        ("/^TF-/", ("tf-x",), ("tfx",)),
        ("/(?i)^corp/", ("corp", "corporation"), ("acorp",)),
        (r"/^(x)\1$/", ("xx",), ("xy",)),
    ],
)
def test_pattern_matches_the_same_names_alone_and_among_others(
    pattern: str, matching: tuple[str, ...], others: tuple[str, ...]
) -> None:
    """A name, a glob or a regular expression matches what it says, beside any other patterns, too."""
    for patterns in ((pattern,), ("zz-*", "/^(zz)(zz)$/", pattern, "/(?i)zzz/")):
        found = NamePatterns(patterns)
        assert [name for name in matching if found.match(NormalizedName(name)) != pattern] == []
        assert [name for name in others if found.match(NormalizedName(name)) is not None] == []


@pytest.mark.parametrize("pattern", ["", "//", "/(/", "/a{99999999999}/", "a b", "x" * 201])
def test_pattern_that_is_none_is_refused(pattern: str) -> None:
    """What is no pattern is refused when the policy is read, never when names are matched."""
    with pytest.raises(ValueError, match=r"\S"):
        compile_pattern(pattern)


names = st.sampled_from(["foo", "foo-bar", "bar", "acme-x", "tf-y"]).map(NormalizedName)
patterns = st.lists(st.sampled_from(["foo*", "acme-*", "/^tf-/", "bar", "*"]), max_size=2).map(tuple)


@law
@given(
    st.sampled_from(Scope), patterns, patterns, st.lists(patterns, max_size=1), st.sets(names), st.sets(names), names
)
def test_blocked_name_is_wanted_by_nothing(  # noqa: PLR0917 - drawn
    scope: Scope,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    blocked: list[tuple[str, ...]],
    listed: set[NormalizedName],
    pinned: set[NormalizedName],
    name: NormalizedName,
) -> None:
    """In both scopes a blocked name is neither asked for nor listed, even if lines or locks name it."""
    policy = Policy(
        scope=scope,
        projects={one: Selection(one, (VersionRule(file_specifier, None),)) for one in listed},
        include=NamePatterns(include),
        exclude=NamePatterns(exclude),
        blocked_names=BlockedNames(patterns={one: "malware" for some in blocked for one in some}),
        pins={one: (Pin(one, None, frozenset({Sha256("0" * 64)}), "uv.lock"),) for one in pinned},
    )
    wanted = policy.project(name) is not None
    if policy.blocked_names.reason(name):
        assert not wanted
        assert name not in policy.wanted
    elif name in listed | pinned:
        assert wanted
        assert name in policy.wanted
    else:
        included = not include or NamePatterns(include).match(name) is not None
        assert wanted is (policy.everything and included and NamePatterns(exclude).match(name) is None)
    if policy.everything:
        assert policy.admits(name) is wanted


file_specifier = Wish().policy.selection.rules[0].specifier


def test_name_that_does_not_exist_yet_can_be_blocked() -> None:
    """A policy blocks names that nobody has registered, with the reason that people are told."""
    policy = parse_policy(
        b'[mirror]\nscope = "everything"\n[block]\nprojects = ["acme-*", {name = "corp-auth", because = "internal"}]\n'
    )
    assert policy.blocked_names.reason(NormalizedName("corp-auth")) == "internal"
    assert policy.blocked_names.reason(NormalizedName("acme-new")) == "[block] projects names 'acme-*'"
    assert policy.blocked_names.reason(NormalizedName("acme")) is None

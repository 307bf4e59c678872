"""Demands of the dependency closure: what they choose of a page, and what waits until the closure has followed it."""

import pickle
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from mirror_contract import UnmetReason
from mirror_syncer.config import Age, ProjectPolicy, Selection, VersionRule, decide
from mirror_syncer.config.judgement.admission import Admission
from mirror_syncer.config.judgement.candidates import Candidates
from mirror_syncer.config.judgement.release import Release
from mirror_syncer.config.machines.compatibility import compatibility
from mirror_syncer.config.machines.machines import Machines
from mirror_syncer.config.policy.closure import ProjectClosure
from mirror_syncer.config.policy.file_rules import FileRules
from mirror_syncer.config.policy.project_policy import fingerprint
from mirror_syncer.model.page import File, Page
from syncer.judged import (
    DAY,
    FOO,
    NOW,
    WHEELS,
    Wish,
    block,
    file,
    is_blocked,
    is_young,
    kept,
    many_files,
    passes,
    publish,
    version_of,
    wishes,
)

pytestmark = pytest.mark.proves("reliability/removal")
law = settings(max_examples=150)
LINUX, WINDOWS = 0b010101, 0b101010  # pip, uv, and pip on a first patch release; see ``BOTH``
BOTH = Machines.parse(pythons=["3.11"], platforms=["linux-x86_64", "windows-amd64"])
EVERY_VERSION = frozenset({"0.9", "1.0", "1.1", "2.0rc1", "2.0", "2.0+cpu", "2.1.dev1"})
demands = st.builds(
    VersionRule,
    st.sampled_from(["", "<2", ">=1.1", "==1.0", "==2.0", "===2.0", ">=2.0rc1", "!=1.1", "==99"]).map(SpecifierSet),
    st.sampled_from([1, 2, None]),
    st.sampled_from([False, True]),
    st.sampled_from([None, 0b1, 0b10, LINUX, 0b111111]),
    st.booleans(),
)
several = st.lists(demands, max_size=3).map(tuple)
unusable_versions = st.frozensets(st.sampled_from(sorted(EVERY_VERSION)), max_size=2)
before_files = st.lists(st.integers(0, 8), max_size=4)


def demand(specifier: str, *, clients: int | None = None, latest: int | None = 1, yanked: bool = False) -> VersionRule:
    """Return a demand, as the closure makes them."""
    found = SpecifierSet(specifier)
    return VersionRule(found, latest, bool(found.prereleases), clients, yanked)


def required(
    rules: Iterable[VersionRule],
    *,
    resolved: frozenset[str] = EVERY_VERSION,
    wish: Wish | None = None,
    unusable: frozenset[str] = frozenset(),
    chains: dict[str, str] | None = None,
) -> ProjectPolicy:
    """Return the policy of a project that only demands name, or a wish with demands beside its lines."""
    policy = ProjectPolicy(Selection("foo", (), named=False)) if wish is None else wish.policy
    return replace(policy, closure=ProjectClosure(tuple(rules), resolved, unusable, chains or {}))


def candidates(files: Iterable[File], policy: ProjectPolicy, before: Iterable[File] = ()) -> Candidates:
    """Return the candidates of a page."""
    return Candidates.fitted(Admission(FOO, tuple(files), policy, published=publish(before).files, now=NOW))


def versions(releases: Iterable[Release]) -> set[str]:
    """Return the versions of releases."""
    return {str(release.version) for release in releases}


@law
@given(wishes, many_files, before_files, several, demands, unusable_versions)
def test_one_more_demand_takes_nothing_away(  # noqa: PLR0917 - drawn
    wish: Wish,
    files: tuple[File, ...],
    before: list[int],
    rules: tuple[VersionRule, ...],
    more: VersionRule,
    unusable: frozenset[str],
) -> None:
    """A demand never removes a release that lines or other demands select; their order does not matter."""
    policy = replace(wish, files=replace(wish.files, max_project_size=None)).policy
    page = candidates(files, policy, [files[number] for number in before if number < len(files)])
    lines = policy.selection.rules
    selected = page.selected(lines, rules, unusable=unusable)
    assert selected <= page.selected(lines, (*rules, more), unusable=unusable)
    assert selected == page.selected(lines[::-1], rules[::-1], unusable=unusable)


@law
@given(wishes, many_files, before_files, several, unusable_versions)
def test_closure_and_decision_select_the_same(
    wish: Wish, files: tuple[File, ...], before: list[int], rules: tuple[VersionRule, ...], unusable: frozenset[str]
) -> None:
    """What the closure sees selected is what a decision keeps, once all releases are resolved."""
    ours = [files[number] for number in dict.fromkeys(before) if number < len(files)]
    policy = required(rules, wish=replace(wish, named=False), unusable=unusable)
    page = candidates(files, policy, ours)
    selected = page.selected(policy.selection.rules, rules, unusable=unusable)
    decision = decide(Page(FOO, files), publish(ours), policy, now=NOW)
    assert {release.version for release in selected} == {version_of(one) for one in decision.keep} - {None}


@law
@given(wishes, many_files, before_files, several, st.frozensets(st.sampled_from(sorted(EVERY_VERSION))))
def test_unresolved_release_waits(
    wish: Wish, files: tuple[File, ...], before: list[int], rules: tuple[VersionRule, ...], resolved: frozenset[str]
) -> None:
    """An unresolved release is not published, unless it was, a lock pins it, or a person released it."""
    ours = [files[number] for number in dict.fromkeys(before) if number < len(files)]
    policy = required(rules, wish=wish, resolved=resolved)
    passing = {str(version_of(one)) for one in ours}
    for one in files:
        version = version_of(one)
        exempted = any(e.released and e.holds(version, now=NOW) for e in policy.exemptions)
        if exempted or any(pin.keeps(version, one.sha256) for pin in policy.pins):
            passing.add(str(version))
    served = decide(Page(FOO, files), publish(ours), policy, now=NOW).served
    assert {str(version_of(one)) for one in served} <= passing | resolved | {"None"}


@law
@given(wishes, many_files, several)
def test_demand_selects_nothing_that_is_blocked_or_held(
    wish: Wish, files: tuple[File, ...], rules: tuple[VersionRule, ...]
) -> None:
    """No demand gets a file past a block or the cooldown."""
    served = decide(Page(FOO, files), None, required(rules, wish=replace(wish, lines=())), now=NOW).served
    for one in served:
        assert not is_blocked(one, wish)
        wheels_too = one.filename.endswith(".whl")  # a source distribution may wait for its wheels
        assert not (wheels_too and is_young(one, wish) and not passes(one, wish))


@law
@given(many_files, st.integers(1, 2), st.sampled_from(["", "<2", ">=1.1", ">=1.0.dev0"]), st.integers(1, 63))
def test_each_client_of_a_demand_has_its_newest_releases(
    files: tuple[File, ...], latest: int, specifier: str, clients: int
) -> None:
    """The newest N finals of each client are chosen, or pre-releases where it has none; nothing that fits no client."""
    page = candidates(files, Wish(machines=BOTH).policy)
    rule = demand(specifier, clients=clients, latest=latest)
    chosen = page.chosen(rule)
    assert all(release.clients & clients for release in chosen)
    admitted = SpecifierSet(specifier, prereleases=True)
    for bit in range(6):
        if not clients >> bit & 1:
            continue
        mine = [one for one in page.releases if one.clients >> bit & 1 and one.version and one.version in admitted]
        finals = [one for one in mine if not one.is_prerelease]
        for some in (finals or mine, mine if rule.prereleases else []):
            public = sorted({Version(one.version.public) for one in some if one.version}, reverse=True)[:latest]
            assert {one for one in some if one.version and Version(one.version.public) in public} <= chosen


def test_demand_for_one_machine_looks_at_its_files_alone() -> None:
    """The newest release for Windows does not stand for Linux, and one that fits neither is not chosen."""
    old, new = file("1.0", WHEELS[1]), file("2.0", WHEELS[2].replace("312", "311"))
    page = candidates([old, new, file("3.0", WHEELS[3])], Wish(machines=BOTH).policy)
    assert versions(page.chosen(demand("", clients=LINUX))) == {"1.0"}
    assert versions(page.chosen(demand("", clients=WINDOWS))) == {"2.0"}
    assert page.chosen(demand(">2", clients=LINUX)) == set()


def test_demand_takes_yanked_releases_only_where_it_says_so() -> None:
    """A yanked release meets a demand for exactly it, and no other; where one that is not yanked fits, that counts."""
    page = candidates([file("1.0", yanked=True), file("0.9")], Wish().policy)
    assert versions(page.chosen(demand("==1.0", clients=0b111, yanked=True))) == {"1.0"}
    assert page.chosen(demand("==1.0", clients=0b111)) == page.chosen(demand("==1.0")) == set()
    assert versions(page.chosen(demand("<=1.0", yanked=True))) == {"0.9"}


def test_pinning_demand_takes_local_versions_and_spellings() -> None:
    """``==2.0`` takes 2.0+cpu, too; ``===`` compares text, with each spelling that the page has of a version."""
    page = candidates(
        [file("2.0"), file("2.0+cpu"), file("1.0.0"), file("1.0", ".tar.gz"), file("3.0.0")], Wish().policy
    )
    assert versions(page.chosen(demand("==2.0", clients=0b111, latest=None))) == {"2.0", "2.0+cpu"}
    assert versions(page.chosen(demand("===1.0", clients=0b111, latest=None))) == {"1.0.0"}
    assert page.chosen(demand("===3.0", clients=0b111, latest=None)) == set()


def test_unusable_release_takes_no_place() -> None:
    """A line keeps a release that pip cannot read, and the newest one that it can; a demand takes the latter alone."""
    files = [file("1.0", age=9), file("1.1", age=9), file("2.0", age=9)]
    unusable = frozenset({"2.0"})
    page = candidates(files, Wish().policy)
    line = VersionRule(SpecifierSet(), 1)
    assert versions(page.selected([line], [], unusable=unusable)) == {"2.0", "1.1"}
    assert versions(page.selected([], [demand("")], unusable=unusable)) == {"1.1"}
    assert versions(page.selected([], [demand("")])) == {"2.0"}, "nothing is unusable any more"
    policy = required([demand("")], unusable=unusable)
    assert kept(files, policy) == {files[1].filename}


def test_waiting_release_pushes_nothing_out() -> None:
    """Until the closure has resolved the newest release, the one before it stays; the reasons say so."""
    old, new, ancient = file("1.0", age=9), file("2.0", age=9), file("0.9", age=9)
    wish = Wish(lines=(("", 1, None),), named=True)
    policy = required((), wish=wish, resolved=frozenset())
    decision = decide(Page(FOO, (ancient, old, new)), publish([old]), policy, now=NOW)
    assert decision.keep == (old,)
    assert [(one.filename, "waits until what it requires is mirrored" in why) for one, why in decision.drop] == [
        (ancient.filename, False),
        (new.filename, True),
    ]
    resolved = required((), wish=wish, resolved=frozenset({"2.0"}))
    assert kept([old, new], resolved, before=[old]) == {new.filename}


@pytest.mark.parametrize("lines", [(("", None, None),), (("", 1, None),)])
def test_new_project_waits_without_a_problem(lines: tuple[tuple[str, int | None, bool | None], ...]) -> None:
    """A project whose releases all wait is no mistake in mirror.toml, and nothing of it is published."""
    policy = required((), wish=Wish(lines=lines, named=True), resolved=frozenset())
    decision = decide(Page(FOO, (file("1.0"), file("2.0"))), None, policy, now=NOW)
    assert (decision.problem, decision.keep, decision.left_out) == (None, (), 2)


def test_page_stays_while_all_that_a_new_line_selects_waits() -> None:
    """A changed line takes nothing away before what it selects is resolved."""
    old, new = file("1.0"), file("2.0")
    wish = Wish(lines=((">=2", None, None),), named=True)
    waits = decide(Page(FOO, (old, new)), publish([old]), required((), wish=wish, resolved=frozenset()), now=NOW)
    assert (waits.problem, waits.keep, waits.leaving) == (None, (old,), ())
    decision = decide(Page(FOO, (old, new)), publish([old]), required((), wish=wish), now=NOW)
    assert (decision.keep, [one for one, _ in decision.leaving]) == ((new,), [old])


def test_required_release_says_its_chain() -> None:
    """A file that only a demand keeps says why it is here; what a line selects keeps the line's reason."""
    files = (file("1.0"), file("2.0"))
    wish = Wish(lines=(("", 1, None),))
    policy = required([demand("<2")], wish=wish, chains={"1.0": "bar → foo<2", "2.0": "bar → foo"})
    reasons = {one.filename: one.reason for one in decide(Page(FOO, files), None, policy, now=NOW).files}
    assert reasons[files[0].filename] == "required: bar → foo<2"
    assert reasons[files[1].filename] == "mirror.toml selects it by 'foo' with latest = 1"


def test_required_release_that_newer_ones_pushed_out_stays_for_a_while() -> None:
    """What a demand chose stays for [removal] superseded after newer releases pushed it out, then it leaves."""
    old, new = file("1.0", age=400 * DAY), file("2.0", age=DAY)
    policy = required([demand("", clients=0b111)], wish=Wish(lines=(), superseded=timedelta(days=90)))
    assert kept([old, new], policy, before=[old]) == {old.filename, new.filename}
    assert kept([old, new], policy, before=[old, new], now=NOW + 89 * DAY) == {new.filename}


def test_required_release_counts_for_the_size() -> None:
    """A demand does not get a project past ``max_project_size``."""
    files = [file("1.0", content=2), file("2.0", content=2)]
    policy = required([demand("<2"), demand("")], wish=Wish(lines=(), files=FileRules(max_project_size=3)))
    assert kept(files, policy) == {files[1].filename}


YOUNG = Wish(machines=BOTH, age=Age(min=timedelta(days=7)), blocks=(block("==3.0"),))


@pytest.mark.parametrize(
    ("specifier", "reason", "words"),
    [
        (">=9", UnmetReason.NO_RELEASE, "no release of foo matches '>=9'; the newest is 3.0"),
        ("==2.0", UnmetReason.HELD, "foo-2.0-py3-none-any.whl is held: uploaded"),
        ("==3.0", UnmetReason.BLOCKED, "foo-3.0-py3-none-any.whl is blocked: malware"),
        ("<=1.0", UnmetReason.YANKED, "all releases of foo that match '<=1.0' are yanked, such as 1.0"),
        ("==1.1", UnmetReason.NO_FILE, "the newest release that matches, has no file for Python 3.11 on linux-x86_64"),
        (">=2", UnmetReason.HELD, "2026-12-06"),
    ],
)
def test_unmet_requirement_says_why(specifier: str, reason: UnmetReason, words: str) -> None:
    """A requirement that nothing on a page meets has a reason, which names a release or file, and until when."""
    old = 30 * DAY
    files = [
        file("1.0", age=old, yanked=True),
        file("1.1", WHEELS[2], age=old),
        file("2.0", age=DAY),
        file("3.0", age=old),
    ]
    page = candidates(files, YOUNG.policy)
    assert page.chosen(demand(specifier, clients=LINUX)) == set()
    found, sentence = page.why_none(SpecifierSet(specifier), LINUX)
    assert found is reason
    assert words in sentence


def test_fingerprint_tells_what_a_closure_changes() -> None:
    """A page is judged again when demands, resolved or unusable versions change; order and chains do not matter."""

    def digest(
        *rules: VersionRule,
        resolved: frozenset[str] = frozenset(),
        unusable: frozenset[str] = frozenset(),
        chains: dict[str, str] | None = None,
    ) -> str:
        return fingerprint(required(rules, resolved=resolved, unusable=unusable, chains=chains), legacy_json=False)

    one, two = demand("<2"), demand(">=1", clients=LINUX)
    assert digest(one, two) == digest(two, one, chains={"1.0": "bar → foo<2"})
    different = {
        digest(),
        digest(one),
        digest(two),
        digest(replace(two, clients=WINDOWS)),
        digest(resolved=frozenset({"1.0"})),
        digest(unusable=frozenset({"1.0"})),
        fingerprint(ProjectPolicy(Selection("foo", (), named=False)), legacy_json=False),
    }
    assert len(different) == 7


def test_closure_reaches_worker_processes() -> None:
    """A project's policy crosses to a worker process with its closure."""
    policy = required([demand("<2", clients=LINUX)], unusable=frozenset({"1.0"}), chains={"1.1": "bar → foo<2"})
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert not replace(policy, selection=Selection("foo", (VersionRule(SpecifierSet(), None),))).keeps_all


def test_files_of_a_release_are_those_that_its_machines_need() -> None:
    """A source distribution is left out where wheels suffice, and kept where they do not."""
    asked = Machines.parse(pythons=["3.11"], platforms=["linux-x86_64"])
    whole, built = [file("1.0", WHEELS[1]), file("1.0", ".tar.gz")], [file("2.0", WHEELS[2]), file("2.0", ".tar.gz")]
    page = candidates([*whole, *built], Wish(machines=asked).policy)
    newer, older = page.releases
    assert page.files(older) == (whole[0],)
    assert page.files(newer) == (built[1],)


def test_candidates_expire_with_the_cooldown() -> None:
    """A page whose newest release is held says when time changes its candidates."""
    page = candidates([file("1.0", age=30 * DAY), file("2.0", age=DAY)], YOUNG.policy)
    assert page.expires_at == NOW + 6 * DAY + 1
    assert versions(page.releases) == {"1.0"}
    assert compatibility(BOTH).everyone == 0b111111

"""Hostile releases in a closure: that release or line is named, the rest counts, and the work is bounded."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest
from packaging.markers import Marker
from packaging.utils import NormalizedName, canonicalize_name

from mirror_contract import UnmetReason
from mirror_syncer.catalog.closure_document import decode_closure, encode_closure
from mirror_syncer.closure.demands import Demands, Required
from mirror_syncer.closure.environments import Environments
from mirror_syncer.closure.metadata import MAX_LINES, parse_metadata
from mirror_syncer.closure.patience import Patience
from mirror_syncer.closure.project import MAX_TRIES
from mirror_syncer.closure.resolution import resolve
from mirror_syncer.closure.witnesses import Witnesses
from mirror_syncer.config.policy.closure import Closure
from mirror_syncer.errors import LimitExceededError, StateError
from mirror_syncer.model.page import Page
from mirror_syncer.model.requirement_lines import RequirementLines
from syncer.closure.generated_pages import NOW, IndexMaker, MemorySource, Wanted

pytestmark = pytest.mark.proves("security/project-owners")
MACHINES = '[machines]\npythons = ["3.11"]\nplatforms = ["linux-x86_64"]'
UNREADABLE = "x>=1.0.0.y"


@pytest.fixture
def index() -> IndexMaker:
    """Return an index with a project that is as it should be, and what it needs."""
    maker = IndexMaker()
    maker.upload("good", "1.0", "base>=1")
    maker.upload("base", "1.0")
    return maker


def close(index: IndexMaker, *lines: str, failing: Iterable[str] = ()) -> tuple[Closure, MemorySource]:
    """Return the closure of lines, and the source that was asked; what is good is always among it."""
    source = MemorySource(index.index(), failing=tuple(failing))
    wanted = Wanted(tuple(f'{{ name = "{line}", latest = 1 }}' for line in ("good", *lines)), MACHINES)
    closure = asyncio.run(resolve(wanted.policy(), source=source, now=NOW))
    assert "base" in closure.projects
    assert "good" in {proof.subject for proof in closure.proofs}
    return closure, source


def prove(wanted: Wanted, index: IndexMaker, ticks: Iterator[int]) -> Witnesses:
    """Return what the proofs of a policy found, by a clock that each look at it moves on by a second."""

    async def run() -> Witnesses:
        policy = wanted.policy()
        environments = Environments(policy.rules.machines)
        demands = Demands(policy, source=MemorySource(index.index()), environments=environments, now=NOW)
        demands.start()
        await demands.follow()
        witnesses = Witnesses(demands, environments, patience=Patience(lambda: float(next(ticks))))
        assert not await witnesses.prove(policy.roots)
        return witnesses

    return asyncio.run(run())


def unmet(closure: Closure) -> set[tuple[str, UnmetReason]]:
    """Return what is unmet: whose requirement, and why."""
    return {(f"{one.project} {one.version}".strip(), one.reason) for one in closure.unmet}


def versions(closure: Closure, name: str) -> set[str]:
    """Return the releases of a project that are kept and resolved."""
    return set(closure.projects[canonicalize_name(name)].resolved)


def test_release_that_requires_a_hundred_thousand_projects(index: IndexMaker) -> None:
    """Only the first requirements of such a release are followed, and it is named; the rest counts."""
    body = b"Metadata-Version: 2.1\nName: bad\nVersion: 1.0\n"
    body += b"".join(b"Requires-Dist: n%d\n" % number for number in range(100_000))
    index.upload("bad", "1.0", lines=parse_metadata(body))
    closure, source = close(index, "bad")
    assert ("bad 1.0", UnmetReason.UNKNOWN) in unmet(closure)
    assert len(source.requests) <= MAX_LINES + 10
    assert set(closure.projects) == {"good", "base", "bad"}


def test_metadata_of_fifty_megabytes(index: IndexMaker) -> None:
    """Metadata that is too long is read up to a bound, and its release is named."""
    body = b"Metadata-Version: 2.1\nName: bad\nVersion: 1.0\nRequires-Dist: base\n"
    body += b"Classifier: " + b"a" * (50 << 20)
    index.upload("bad", "1.0", lines=parse_metadata(body))
    closure, _ = close(index, "bad")
    assert unmet(closure) == {("bad 1.0", UnmetReason.UNKNOWN)}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("base; " + "(" * 5_000 + "os_name == 'nt'" + ")" * 5_000, UnmetReason.UNREADABLE),
        ("base; " + " or ".join(["python_version < '3'"] * 300), None),
        ("base; " + " or ".join(["python_version < '3'"] * 5_000), UnmetReason.UNREADABLE),
        ("base>=" + "9" * 200, UnmetReason.UNREADABLE),
        ("base @ https://example.org/base.whl", UnmetReason.BY_URL),
        (UNREADABLE, UnmetReason.UNREADABLE),
        ("base[nope]", None),
        ("base>5", UnmetReason.NO_RELEASE),
        ("nowhere", UnmetReason.NO_PROJECT),
    ],
    ids=[
        "nested",
        "long marker",
        "marker bomb",
        "long number",
        "URL",
        "unreadable",
        "no such extra",
        "none",
        "missing",
    ],
)
def test_odd_requirement_is_named_alone(index: IndexMaker, line: str, reason: UnmetReason | None) -> None:
    """A requirement that cannot be met or read is named with its release, and what else it requires is followed."""
    index.upload("bad", "1.0", line, "other")
    index.upload("other", "1.0")
    closure, _ = close(index, "bad")
    of_releases = {(one.project, one.reason) for one in closure.unmet if one.version}
    assert of_releases == ({("bad", reason)} if reason else set())
    assert {one.project for one in closure.unmet} <= {"bad"}
    assert versions(closure, "other") == {"1.0"}


def test_circle_of_extras_ends(index: IndexMaker) -> None:
    """Extras that ask for each other, through other projects too, end; what they add is kept."""
    index.upload(
        "bad", "1.0", "bad[b]; extra == 'a'", "bad[a]; extra == 'b'", "peer[c]; extra == 'b'", extras=("a", "b")
    )
    index.upload("peer", "1.0", "bad[a]; extra == 'c'", "other; extra == 'c'", extras=("c",))
    index.upload("other", "1.0")
    closure, _ = close(index, "bad[a]")
    assert {"peer", "other"} <= closure.projects.keys()
    assert closure.unmet == ()


def test_conflicting_lines_are_refuted_alone(index: IndexMaker) -> None:
    """A line whose releases exclude each other is refuted in words; the others are proved."""
    index.upload("bad", "1.0", "other==1.0", "peer")
    index.upload("peer", "1.0", "other==2.0")
    index.upload("other", "1.0")
    index.upload("other", "2.0")
    closure, _ = close(index, "bad", "other")
    assert [(one.requirement, one.reason) for one in closure.unmet] == [("bad", UnmetReason.NO_PROOF)]
    assert {proof.subject for proof in closure.proofs} == {"good", "other"}


def test_dynamic_requirements_are_told(index: IndexMaker) -> None:
    """An sdist that only a build would tell everything about is kept, and named as unknown."""
    index.upload("bad", "1.0", sdist=True, lines=RequirementLines(("base",), is_dynamic=True, build_requires=()))
    closure, _ = close(index, "bad")
    assert unmet(closure) == {("bad 1.0", UnmetReason.UNKNOWN)}
    assert versions(closure, "bad") == {"1.0"}


def test_page_of_ten_thousand_releases(index: IndexMaker) -> None:
    """Of a page with ten thousand releases only those that are wanted are read."""
    for number in range(10_000):
        index.upload("bad", f"1.{number}", "base", day="2025-01-01")
    closure, source = close(index, "bad")
    assert versions(closure, "bad") == {"1.9999"}
    assert len(source.requests) <= 6


@pytest.mark.parametrize("line", ["bad", "user"], ids=["a line", "a requirement"])
def test_project_without_a_usable_release_costs_few_requests(index: IndexMaker, line: str) -> None:
    """Where pip can read no release, only the newest are tried; the requirement on the project is unmet."""
    index.upload("user", "1.0", "bad")
    for number in range(5_000):
        index.upload("bad", f"1.{number}", UNREADABLE)
    closure, source = close(index, line)
    assert len(source.requests) <= 2 * MAX_TRIES + 10
    if line == "user":
        assert ("user 1.0", UnmetReason.UNREADABLE) in unmet(closure)
        [message] = {
            one.message for one in closure.unmet if one.reason is UnmetReason.UNREADABLE and one.project == "user"
        }
        assert f"none older than the {MAX_TRIES} that were tried was read" in message


def test_proof_tries_few_unusable_releases(index: IndexMaker) -> None:
    """A proof that needs older releases, of which pip can read none, ends after some of them, too."""
    index.upload("user", "1.0", "bad", "other==1.0")
    index.upload("bad", "2.0", "other==2.0")
    for number in range(1_000):
        index.upload("bad", f"1.{number}", UNREADABLE)
    index.upload("other", "1.0")
    index.upload("other", "2.0")
    closure, source = close(index, "user")
    assert ("user", UnmetReason.NO_PROOF) in unmet(closure)
    assert len(source.requests) <= MAX_TRIES + 15


def test_chain_of_three_thousand_projects(index: IndexMaker) -> None:
    """A long chain is followed and proved, and each of its projects tells the way to it in some words."""
    for number in range(3_000):
        index.upload(f"bad{number}", "1.0", f"bad{number + 1}")
    index.upload("bad3000", "1.0")
    closure, _ = close(index, "bad0")
    assert closure.unmet == ()
    assert len(closure.projects) == 3_003
    chain = closure.projects[canonicalize_name("bad3000")].chains["1.0"]
    assert chain.startswith("bad0 → bad1 → ")
    assert "2,989 more" in chain
    assert chain.endswith(" → bad3000")


def test_metadata_that_cannot_be_had_while_a_proof_is_sought(index: IndexMaker) -> None:
    """A proof goes on without a release whose metadata fails, and takes an older one."""
    index.upload("user", "1.0", "bad", "other==1.0")
    index.upload("bad", "3.0", "other==2.0")
    index.upload("bad", "2.0", "other==1.0")
    index.upload("bad", "1.0", "other==1.0")
    index.upload("other", "1.0")
    index.upload("other", "2.0")
    closure, _ = close(index, "user", failing=["bad-2.0-py3-none-any.whl"])
    [proof] = [proof for proof in closure.proofs if proof.subject == "user"]
    assert proof.releases[canonicalize_name("bad")] == "1.0"
    assert versions(closure, "bad") == {"3.0", "1.0"}


def test_metadata_that_cannot_be_had_is_named(index: IndexMaker) -> None:
    """A selected release whose metadata fails is named and waits; the rest counts."""
    index.upload("bad", "1.0", "base")
    closure, _ = close(index, "bad", failing=["bad-1.0-py3-none-any.whl"])
    assert ("bad 1.0", UnmetReason.FAILED) in unmet(closure)
    assert versions(closure, "bad") == set()


def test_extras_of_a_project_without_number(index: IndexMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a project has a thousand extras and asks for each, a requirement is read for the one that it names."""
    read, counts = [0], Environments.counts

    def count(self: Environments, marker: Marker | None, *, extra: str | None = None) -> int:
        read[0] += 1
        return counts(self, marker, extra=extra)

    monkeypatch.setattr(Environments, "counts", count)
    extras = tuple(f"e{number}" for number in range(1_000))
    index.upload("bad", "1.0", *(f"base; extra == '{extra}'" for extra in extras), extras=extras)
    index.upload(
        "user", "1.0", *(f"bad[{extra}]; python_version < '3'" for extra in extras), f"bad[{','.join(extras)}]"
    )
    wanted = Wanted(('{ name = "user", latest = 1 }',), MACHINES)
    environments = Environments(wanted.policy().rules.machines)

    async def follow() -> Demands:
        demands = Demands(wanted.policy(), source=MemorySource(index.index()), environments=environments, now=NOW)
        demands.start()
        await demands.follow()
        return demands

    demands = asyncio.run(follow())
    assert canonicalize_name("base") in demands.projects
    assert read[0] < 20_000


def test_name_that_no_project_can_have(index: IndexMaker) -> None:
    """Upstream is not asked for such a name, and the closure can be stored and read again."""
    index.upload("bad", "1.0", "a" * 215)
    closure, source = close(index, "bad")
    assert not any("aaa" in request for request in source.requests)
    assert ("bad 1.0", UnmetReason.UNREADABLE) in unmet(closure) or "bad" not in closure.projects
    assert decode_closure(encode_closure(closure)) == closure


def test_proofs_that_take_long_have_a_budget_together(index: IndexMaker) -> None:
    """Where each proof uses all of its time, all of them take some minutes, and the run cannot tell about the lines."""
    for number in range(40):
        index.upload(f"part{number}", "1.0")
    names = [f"bad{number}" for number in range(50)]
    for name in names:
        index.upload(name, "1.0", *(f"part{number}" for number in range(40)))
    three = MACHINES.replace('["3.11"]', '["3.11", "3.12", "3.13"]')
    wanted = Wanted(tuple(f'{{ name = "{name}", latest = 1 }}' for name in names), three)
    ticks = itertools.count()

    witnesses = prove(wanted, index, ticks)
    assert next(ticks) < 900  # of 3,000 if each of 150 had 20 s
    assert witnesses.proofs == []
    assert {one.requirement for one in witnesses.refuted} == set(names)
    assert all(one.message.startswith("cannot tell whether ") for one in witnesses.refuted)
    assert all(len(one.machines) == 3 for one in witnesses.refuted)


def test_restarted_proof_shares_its_time(index: IndexMaker) -> None:
    """A proof that starts again without a release that pip cannot read does not get its time anew."""
    index.upload("user", "1.0", "bad", "other==1.0", *(f"part{number}" for number in range(5)))
    for number in range(5):
        index.upload(f"part{number}", "1.0")
    index.upload("bad", "2.0", "other==2.0")
    for number in range(1_000):
        index.upload("bad", f"1.{number}", UNREADABLE)
    index.upload("other", "1.0")
    index.upload("other", "2.0")
    ticks = itertools.count()
    wanted = Wanted(('{ name = "user", latest = 1 }',), MACHINES)

    [refuted] = prove(wanted, index, ticks).refuted
    assert next(ticks) < 40
    assert refuted.message.startswith("cannot tell whether user can be installed")


def test_projects_without_number_are_not_asked_for(index: IndexMaker) -> None:
    """Releases that name more projects than any closure has end the resolution, before upstream is asked for each."""
    for part in "xyz":
        index.upload(f"bad-{part}", "1.0", *(f"{part}{number}" for number in range(7_000)))
    index.upload("bad", "1.0", "bad-x", "bad-y", "bad-z")
    source = MemorySource(index.index())
    wanted = Wanted(('{ name = "bad", latest = 1 }',), MACHINES)
    with pytest.raises(LimitExceededError, match="more than 20,000 projects are required, 7,000 of them first by bad-"):
        asyncio.run(resolve(wanted.policy(), source=source, now=NOW))
    assert len(source.requests) < 20


def test_chain_that_is_withheld_is_looked_through_few_times(index: IndexMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``unmet = "withhold"`` all of a long chain whose last release lacks something waits, in linear time."""
    passes, required = [0], Demands.required

    def count(self: Demands) -> Iterator[Required]:
        passes[0] += 1
        return required(self)

    monkeypatch.setattr(Demands, "required", count)
    for number in range(200):
        index.upload(f"bad{number}", "1.0", f"bad{number + 1}")
    wanted = Wanted(
        tuple(f'{{ name = "{name}", latest = 1 }}' for name in ("good", "bad0")), MACHINES, more='unmet = "withhold"'
    )
    closure = asyncio.run(resolve(wanted.policy(), source=MemorySource(index.index()), now=NOW))
    resolved = {str(name) for name, project in closure.projects.items() if project.resolved}
    assert resolved == {"good", "base"}
    assert len([one for one in closure.unmet if one.version]) == 200
    assert passes[0] < 10


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("n{}", "400 more of its requirements are not met"),
        ("n{}; os_name ~= '{}'", "400 more of its lines are not as installers want them"),
    ],
    ids=["unmet", "pip fails"],
)
def test_release_with_unmet_requirements_without_number(index: IndexMaker, line: str, message: str) -> None:
    """Of each release a hundred unmet requirements are named, and the number of the others."""
    for release in range(10):
        index.upload("bad", f"1.{release}", *(line.format(number, number) for number in range(500)))
    index.upload("user", "1.0", "bad==1.1", "bad==1.2", "bad")
    closure, _ = close(index, "user")
    told = Counter(one.version for one in closure.unmet if one.project == "bad")
    assert told
    assert set(told.values()) == {101}
    assert {one.message for one in closure.unmet if not one.requirement} >= {message}


def test_disk_that_fails_ends_the_resolution(index: IndexMaker) -> None:
    """Where the disk fails, nothing is concluded: a closure without that project would have others leave."""

    class FailingSource(MemorySource):
        async def page(self, name: NormalizedName) -> Page | None:
            if name == "base":
                raise StateError("the disk of the catalog failed")
            return await super().page(name)

    wanted = Wanted(('{ name = "good", latest = 1 }',), MACHINES)
    with pytest.raises(StateError):
        asyncio.run(resolve(wanted.policy(), source=FailingSource(index.index()), now=NOW))


def test_long_specifier_is_shortened_in_what_is_told(index: IndexMaker) -> None:
    """A message about a requirement stays short, whatever the requirement says."""
    odd = ",".join(f"!={number}" for number in range(1_000))
    index.upload("bad", "1.0", f"base>5,{odd}", f"other>5,{odd}", f"base<1,=>0,{odd}")
    index.upload("user", "1.0", "other>0", f"base>7,{odd}", f"worse>0,{odd}")
    index.upload("other", "1.0")
    index.upload("worse", "1.0", UNREADABLE)
    closure, _ = close(index, "bad", "user")
    assert len(closure.unmet) > 3
    assert max(len(one.message) for one in closure.unmet) < 2_000
    assert max(len(one.requirement) for one in closure.unmet) < 300

"""Laws of the dependency closure over generated indexes, with a judge that looks at what would be kept."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from mirror_contract import UnmetReason
from mirror_contract.distributions import Installers
from mirror_syncer.closure.demands import Demands
from mirror_syncer.closure.environments import Environments
from mirror_syncer.closure.origin import PUSHED_OUT
from mirror_syncer.closure.resolution import resolve
from mirror_syncer.config import Policy
from mirror_syncer.config.machines.compatibility import compatibility
from mirror_syncer.config.policy.closure import Closure, ProjectClosure
from syncer.closure.closure_judge import ClosureJudge, Kept, read
from syncer.closure.generated_pages import (
    NOW,
    SMALL,
    GeneratedIndex,
    MemorySource,
    Scale,
    Wanted,
    make_index,
    make_line,
    make_wanted,
)

law = settings(max_examples=60)
SEEDS = st.integers(0, 1 << 32)
_PASSES = 5


@dataclass(frozen=True)
class Settled:
    """A closure of which all that it wants is published, so that another pass finds nothing more."""

    source: MemorySource
    policy: Policy
    closure: Closure
    judge: ClosureJudge


def close(policy: Policy, source: MemorySource) -> Closure:
    """Return the closure of a policy."""
    return asyncio.run(resolve(policy, source=source, now=NOW))


def settle(wanted: Wanted, index: GeneratedIndex) -> Settled:
    """Return a closure after as many passes as wheels need that differ in what they require."""
    policy, source = wanted.policy(), MemorySource(index)
    before = None
    for _ in range(_PASSES):
        closure = close(policy, source)
        judge = ClosureJudge(index, policy, closure, on_disk=source.on_disk)
        if closure == before:
            return Settled(source, policy, closure, judge)
        source.publish(judge.files)
        before = closure
    raise AssertionError("there is always more")


def generated(seed: int, scale: Scale = SMALL) -> tuple[GeneratedIndex, Wanted]:
    """Return an index and what is wanted of it."""
    random = Random(seed)
    return make_index(random, scale), make_wanted(random, scale)


@law
@given(seed=SEEDS)
def test_each_requirement_is_met_or_named(seed: int) -> None:
    """On each machine that a kept file fits, what it requires there is kept, fits too, and is not yanked; or named."""
    index, wanted = generated(seed)
    assert list(settle(wanted, index).judge.unnamed()) == []


@law
@given(seed=SEEDS)
def test_closure_counts_what_the_judgement_keeps(seed: int) -> None:
    """The files and bytes of a plan are those that a sync keeps."""
    index, wanted = generated(seed)
    policy, source = wanted.policy(), MemorySource(index)
    closure = close(policy, source)
    judge = ClosureJudge(index, policy, closure)
    counted = {name: (one.files, one.size) for name, one in closure.projects.items() if one.files}
    assert counted == {name: (len(files), sum(file.size or 0 for file in files)) for name, files in judge.files.items()}


@law
@given(seed=SEEDS)
def test_each_line_and_group_is_proved_or_refuted(seed: int) -> None:
    """Each line and group has, on each machine that a release of it fits, a proof of kept releases, or is refuted."""
    index, wanted = generated(seed)
    settled = settle(wanted, index)
    judge, machines = settled.judge, Environments(settled.policy.rules.machines)
    own = machines.default_proof_machines == machines.machines
    proofs = {(proof.subject, proof.machine): proof for proof in settled.closure.proofs}
    refuted = {
        (one.requirement, machine)
        for one in settled.closure.unmet
        if one.reason is UnmetReason.NO_PROOF
        for machine in one.machines
    }
    assert not refuted & proofs.keys()
    for (subject, machine), proof in proofs.items():
        assert {(name, Version(version)) for name, version in proof.releases.items()} <= judge.releases
        if own:
            bit = judge.bit(machine)
            lines = [line for text, line in judge.lines() if text == subject and judge.counts(line, bit, None)]
            assert list(judge.faults(lines, {name: Version(text) for name, text in proof.releases.items()}, bit)) == []
    if own:
        for subject, line in judge.lines():
            for bit in judge.bits:
                if judge.counts(line, bit, None) and judge.is_met(Requirement(line.name), bit):
                    assert (subject, judge.name(bit)) in refuted | proofs.keys()


@law
@given(seed=SEEDS)
def test_second_resolution_asks_nothing_and_changes_nothing(seed: int) -> None:
    """Once all is published, the closure stays the same, and no page or metadata is asked for that was not before."""
    index, wanted = generated(seed)
    settled = settle(wanted, index)
    settled.source.requests.clear()
    again = close(settled.policy, settled.source)
    assert again == settled.closure
    assert _chains(again) == _chains(settled.closure)
    assert settled.source.requests == []


@law
@given(seed=SEEDS)
def test_order_does_not_matter(seed: int) -> None:
    """The order of lines, of groups, of projects, and of upstream's answers changes nothing, not even a chain."""
    index, wanted = generated(seed)
    random = Random(seed + 1)
    first = close(wanted.policy(), MemorySource(index))
    shuffled = replace(
        wanted,
        lines=tuple(random.sample(wanted.lines, len(wanted.lines))),
        groups=tuple((name, tuple(random.sample(items, len(items)))) for name, items in wanted.groups),
    )
    pages = list(index.pages.items())
    other = replace(index, pages=dict(random.sample(pages, len(pages))))
    second = close(shuffled.policy(), MemorySource(other, delays=random))
    assert second.projects == first.projects
    assert _chains(second) == _chains(first)
    assert second.waves == first.waves
    assert set(second.unmet) == set(first.unmet)
    assert {(one.subject, one.machine, *one.releases.items()) for one in second.proofs} == {
        (one.subject, one.machine, *one.releases.items()) for one in first.proofs
    }


@law
@given(seed=SEEDS)
def test_each_kept_release_has_a_chain_of_real_requirements(seed: int) -> None:
    """A chain starts at a line, a group or a proof, and each step is a requirement of a kept release before it."""
    index, wanted = generated(seed)
    settled = settle(wanted, index)
    chained = {
        (name, Version(version)): chain
        for name, project in settled.closure.projects.items()
        for version, chain in project.chains.items()
    }
    assert chained.keys() == settled.judge.releases
    for (name, version), chain in chained.items():
        _check_chain(settled, chain, name, version)


def _check_chain(settled: Settled, chain: str, name: NormalizedName, version: Version) -> None:
    first, *steps = chain.split(" → ")
    lines = {text for text, _ in settled.judge.lines()} | {
        f"group {group}: {item.text}" for group, items in settled.policy.groups.items() for item in items
    }
    if first.endswith(PUSHED_OUT):
        project, text, _ = first.split(" ", 2)
        sources = {canonicalize_name(project): [Version(text)]}
    elif match := re.fullmatch(r"witness of (.+?) on ((?:Python|any) .+)", first):
        proof = next(one for one in settled.closure.proofs if (one.subject, one.machine) == match.groups())
        if not steps:
            assert Version(proof.releases[name]) == version
            return
        sources = {name: [Version(text)] for name, text in proof.releases.items()}
    else:
        assert first in lines
        requirement = Requirement(first.rpartition(": ")[2])
        project = canonicalize_name(requirement.name)
        sources = {
            project: [
                one for one in _versions(settled, project) if requirement.specifier.contains(one, prereleases=True)
            ]
        }
    for step in steps:
        requirement = Requirement(step)
        requirers = [
            one
            for project, versions in sources.items()
            for one in settled.judge.kept.get(project, ())
            if one.version in versions and _states(one, step)
        ]
        assert requirers, (chain, step)
        project = canonicalize_name(requirement.name)
        sources = {
            project: [
                one for one in _versions(settled, project) if requirement.specifier.contains(one, prereleases=True)
            ]
        }
    assert version in sources[name], chain


def _states(kept: Kept, step: str) -> bool:
    return step in kept.requires or step in kept.build_requires


def _versions(settled: Settled, project: NormalizedName) -> Iterator[Version]:
    return (one.version for one in settled.judge.kept.get(project, ()))


@law
@given(seed=SEEDS)
def test_closure_keeps_only_what_the_policy_admits(seed: int) -> None:
    """No project that is blocked, and no file that is blocked, held or fits no machine, is kept for a requirement."""
    index, wanted = generated(seed)
    wanted = replace(wanted, blocked=(*wanted.blocked, "p1"), min_age='min = "14d"')
    policy, source = wanted.policy(), MemorySource(index)
    blocked, fits = [Requirement(text) for text in wanted.blocked], compatibility(policy.rules.machines)
    closure = close(policy, source)
    judge = ClosureJudge(index, policy, closure)
    assert "p1" not in closure.projects
    assert not any("p1" in proof.releases for proof in closure.proofs)
    for name, files in judge.files.items():
        assert not any("2026-11-2" in (file.upload_time or "") for file in files)
        assert all(fits.fits(file.filename, Installers.ALL, file.requires_python) for file in files)
        assert not any(
            one.name == name and one.specifier.contains(kept.version, prereleases=True)
            for one in blocked
            for kept in judge.kept[name]
        )
        assert set(map(Version, closure.projects[name].resolved)) <= {one.version for one in judge.kept[name]}


@law
@given(seed=SEEDS)
def test_closure_is_no_larger_than_its_demands(seed: int) -> None:
    """
    Of each distinct requirement, at most the newest N finals and pre-releases a client are kept, and the proofs'.

    There is at most one proof for each line or group and each machine.
    """
    index, wanted = generated(seed)
    settled = settle(wanted, index)
    judge = settled.judge
    machines = Environments(settled.policy.rules.machines).default_proof_machines
    proved = [(proof.subject, proof.machine) for proof in settled.closure.proofs]
    assert len(proved) == len(set(proved)) <= len(settled.policy.roots) * len(Environments(machines))
    for name, project in settled.closure.projects.items():
        if name in settled.policy.projects:
            continue
        witnesses = {proof.releases[name] for proof in settled.closure.proofs if name in proof.releases}
        specifiers = {rule.specifier for rule in project.rules if rule.latest is not None}
        # pip and uv read these requires-python differently, and a first patch release reads them as pip does.
        bound = 2 * 2 * len(judge.bits) * wanted.latest * len(specifiers)
        assert len({one.version for one in judge.kept.get(name, ())}) <= bound + len(witnesses)


@law
@given(seed=SEEDS, what=st.sampled_from(["line", "machine", "latest"]))
def test_more_never_takes_a_requirement_s_release_away(seed: int, what: str) -> None:
    """
    One more line, machine or release keeps all that lines and requirements kept before.

    Not what a proof kept: it prefers what is kept anyway, so with more of that it may need less, and no line lacks
    anything by that (see the next law). And a line keeps pre-releases or yanked releases where no machine has another
    one, so a machine that has one takes them away.
    """
    index, wanted, more = _more(seed, what)
    assert _demanded(index, wanted) <= _demanded(index, more)


@law
@given(seed=SEEDS, what=st.sampled_from(["line", "machine", "latest"]))
def test_more_never_takes_a_proof_away(seed: int, what: str) -> None:
    """With one more line, machine or release, each line and group is proved on each machine where it was before."""
    index, wanted, more = _more(seed, what)
    before, after = (close(one.policy(), MemorySource(index)) for one in (wanted, more))
    assert {(one.subject, one.machine) for one in before.proofs} <= {(one.subject, one.machine) for one in after.proofs}


def _more(seed: int, what: str) -> tuple[GeneratedIndex, Wanted, Wanted]:
    """Return an index, what is wanted of it, and the same with one more line, machine or release."""
    index, wanted = generated(seed)
    random = Random(seed + 1)
    if what == "line":
        latest = re.search(r"latest = (\d)", wanted.lines[0])
        line = make_line(random, latest=int(latest[1]) if latest else None)
        more = replace(wanted, lines=(*wanted.lines, line))
    elif what == "latest":
        more = replace(wanted, latest=wanted.latest + 1)
    else:
        few, many = (f'[machines]\npythons = ["3.11"{more}]\nplatforms = ["linux-x86_64"]' for more in ("", ', "3.13"'))
        wanted, more = replace(wanted, machines=few), replace(wanted, machines=many)
        index = _without_guarded(index)
    return index, wanted, more


def _demanded(index: GeneratedIndex, wanted: Wanted) -> set[str]:
    """Return the releases that are kept before anything is proved."""
    policy = wanted.policy()

    async def follow() -> Demands:
        environments = Environments(policy.rules.machines)
        demands = Demands(policy, source=MemorySource(index), environments=environments, now=NOW)
        demands.start()
        await demands.follow()
        return demands

    projects = asyncio.run(follow()).projects
    return {f"{name} {version}" for name, project in projects.items() for _, version in project.releases()}


def _without_guarded(index: GeneratedIndex) -> GeneratedIndex:
    pages = {
        name: replace(
            page,
            files=tuple(
                file for file in page.files if not file.yanked and not re.search(r"-[\d.]+(rc|a|dev)", file.filename)
            ),
        )
        for name, page in index.pages.items()
    }
    return replace(index, pages=pages)


@law
@given(seed=SEEDS)
def test_projects_are_published_after_what_they_require(seed: int) -> None:
    """What a kept release requires is in an earlier wave, or in the same one where both require each other."""
    index, wanted = generated(seed)
    settled = settle(wanted, index)
    wave = {name: number for number, names in enumerate(settled.closure.waves) for name in names}
    edges: dict[NormalizedName, set[NormalizedName]] = {name: set() for name in wave}
    possible: dict[NormalizedName, set[NormalizedName]] = {name: set() for name in wave}
    for name, files in settled.judge.kept.items():
        for kept in files:
            stated = (*map(read, kept.requires), *map(Requirement, kept.build_requires))
            possible[name].update(canonicalize_name(one.name) for one in stated if one)
            for bit in settled.judge.bits:
                found = settled.judge.required(kept, bit, settled.judge.extras(name, bit))
                edges[name].update(canonicalize_name(one.name) for one in found)
    for name, others in edges.items():
        for other in others & wave.keys():
            assert wave[other] < wave[name] or name in _reached(possible, other)


def _reached(edges: dict[NormalizedName, set[NormalizedName]], start: NormalizedName) -> set[NormalizedName]:
    seen, left = {start}, [start]
    while left:
        new = edges.get(left.pop(), set()) - seen
        seen |= new
        left += new
    return seen


@law
@given(seed=SEEDS)
def test_published_page_is_whole_at_each_instant(seed: int) -> None:
    """While a first sync publishes wave by wave, each published release finds what it will find in the end."""
    # What wheels require whose metadata costs a request each is read once they are here: the next pass brings it.
    index, wanted = generated(seed, replace(SMALL, without_metadata=0))
    wanted = replace(wanted, machines="")
    policy, source = wanted.policy(), MemorySource(index)
    closure = close(policy, source)
    final = ClosureJudge(index, policy, closure)
    done: set[NormalizedName] = set()
    for names in closure.waves:
        done.update(names)
        projects = {name: closure.projects[name] if name in done else ProjectClosure() for name in closure.projects}
        now = ClosureJudge(index, policy, replace(closure, projects=projects))
        assert now.kept.keys() <= done
        for name, files in now.kept.items():
            for kept in files:
                for requirement in now.required(kept, 1, final.extras(name, 1)):
                    assert now.is_met(requirement, 1) or not final.is_met(requirement, 1)


def _chains(closure: Closure) -> dict[str, dict[str, str]]:
    return {name: dict(project.chains) for name, project in closure.projects.items()}

"""uv as a judge of closures: from what is kept and nothing else, it installs exactly the lines that are proved."""

import asyncio
from pathlib import Path
from random import Random

import pytest
from packaging.requirements import Requirement

from fakepypi.distributions import Recipe, build_wheel
from mirror_syncer.closure.resolution import resolve
from syncer.closure.closure_judge import ClosureJudge
from syncer.closure.generated_pages import EXTRAS, NOW, PLAIN, TWO_BY_TWO, MemorySource, Wanted, make_index, make_wanted
from syncer.closure.uv_judge import uv_resolves

MACHINES = {
    f"Python {python} on {platform}": ["--python-version", python, "--python-platform", name]
    for python in ("3.11", "3.13")
    for platform, name in (("linux-x86_64", "linux"), ("windows-amd64", "windows"))
}


class RecipeWithExtras(Recipe):
    """A recipe whose metadata offers the extras that the generated requirements name."""

    def metadata(self) -> bytes:
        """Return the core metadata."""
        return super().metadata() + b"".join(b"Provides-Extra: %s\n" % extra.encode() for extra in EXTRAS)


@pytest.mark.parametrize("seed", range(12))
def test_uv_installs_what_is_proved_from_what_is_kept(tmp_path: Path, seed: int) -> None:
    """Each line with a proof installs from the kept files alone, on each machine; one that is refuted does not."""
    random = Random(seed)
    index, wanted = make_index(random, PLAIN), make_wanted(random, PLAIN)
    policy = Wanted(wanted.lines, TWO_BY_TWO, groups=wanted.groups).policy()
    closure = asyncio.run(resolve(policy, source=MemorySource(index), now=NOW))
    judge = ClosureJudge(index, policy, closure)
    for files in judge.kept.values():
        for kept in files:
            name, version, *_ = kept.file.filename.split("-")
            tag = kept.file.filename.removesuffix(".whl").split("-", 2)[2]
            recipe = RecipeWithExtras(name=name, version=version, requires_dist=kept.requires)
            (tmp_path / kept.file.filename).write_bytes(build_wheel(recipe, tag).content)
    proved = {(proof.subject, proof.machine) for proof in closure.proofs}
    for root in policy.roots:
        for machine, options in MACHINES.items():
            bit = judge.bit(machine)
            lines = [item.text for item in root.requirements]
            if any(
                judge.counts(line, bit, None) and judge.is_met(Requirement(line.name), bit)
                for line in map(Requirement, lines)
            ):
                installs = uv_resolves(tmp_path, lines, "--only-binary", ":all:", *options)
                assert installs == ((root.subject, machine) in proved), (machine, lines)


def test_some_generated_lines_are_proved_and_some_refuted() -> None:
    """Both answers are judged."""
    answers = set()
    for seed in range(12):
        random = Random(seed)
        index, wanted = make_index(random, PLAIN), make_wanted(random, PLAIN)
        policy = Wanted(wanted.lines, TWO_BY_TWO, groups=wanted.groups).policy()
        closure = asyncio.run(resolve(policy, source=MemorySource(index), now=NOW))
        answers |= {"proved"} if closure.proofs else set()
        answers |= {"refuted"} if any(one.requirement and not one.version for one in closure.unmet) else set()
    assert answers == {"proved", "refuted"}

"""uv as a judge that shares no code with the solver: both prove the same lines on the same machines."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from packaging.utils import NormalizedName

from fakepypi.distributions import Recipe, build_wheel
from mirror_syncer.closure.proof import Solution
from mirror_syncer.closure.solver import solve
from syncer.closure.generated_indexes import FINALS, PROJECTS
from syncer.closure.small_index import LINUX, SmallIndex, needs
from syncer.closure.uv_judge import uv_resolves

MACHINES = {"linux": LINUX, "windows": {**LINUX, "sys_platform": "win32"}}
SEEDS = range(12)


@dataclass(frozen=True, kw_only=True)
class RecipeWithExtras(Recipe):
    """A recipe whose metadata offers the extras that the generated requirements name."""

    def metadata(self) -> bytes:
        """Return the core metadata."""
        return super().metadata() + b"Provides-Extra: x\nProvides-Extra: y\n"


def generated(seed: int) -> tuple[dict[str, dict[str, list[str]]], list[str]]:
    """Return releases with their requirements, and lines; about half of them can be installed."""
    random = Random(seed)
    projects: dict[str, dict[str, list[str]]] = {
        name: {version: FINALS.random_needs(random) for version in FINALS.versions} for name in PROJECTS
    }
    lines = [f"{name}{random.choice(FINALS.specifiers)}" for name in random.sample(PROJECTS, 2)]
    return projects, [f"{PROJECTS[0]}[x]", *lines]


def uv_resolves_with(folder: Path, machine: str, lines: list[str], pins: Mapping[NormalizedName, str]) -> bool:
    """Return whether uv finds releases for the lines, with some pinned."""
    constraints = folder / "constraints.txt"
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
    target = ["--python-platform", machine, "--python-version", "3.11"]
    return uv_resolves(folder, lines, "--constraint", str(constraints), *target)


@pytest.mark.parametrize("seed", SEEDS)
def test_uv_proves_the_same_lines(tmp_path: Path, seed: int) -> None:
    """Where there is a proof, uv resolves the lines and installs the proof's releases; else it finds no solution."""
    projects, lines = generated(seed)
    for name, releases in projects.items():
        for version, requirements in releases.items():
            wheel = build_wheel(RecipeWithExtras(name=name, version=version, requires_dist=tuple(requirements)))
            (tmp_path / wheel.filename).write_bytes(wheel.content)
    for machine, environment in MACHINES.items():
        index = SmallIndex(projects, environment=environment)
        answer = solve(needs(*lines), index)
        pins: dict[NormalizedName, str] = {}
        if isinstance(answer, Solution):
            pins = {name: str(version) for name, version in answer.assignment.items()}
        assert uv_resolves_with(tmp_path, machine, lines, pins) == isinstance(answer, Solution), (
            machine,
            lines,
            answer,
        )


def test_generated_indexes_are_of_both_kinds() -> None:
    """Some of the generated lines can be installed and some cannot, so that each answer is judged."""
    answers = set()
    for seed in SEEDS:
        projects, lines = generated(seed)
        answers.add(isinstance(solve(needs(*lines), SmallIndex(projects)), Solution))
    assert answers == {True, False}

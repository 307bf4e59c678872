"""pip as a judge of pre-releases, locals and ``===``: it installs lines exactly where there is a proof."""

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from fakepypi.distributions import Recipe, build_wheel
from mirror_syncer.closure.proof import Solution
from mirror_syncer.closure.solver import solve
from syncer.closure.generated_indexes import ANY, PROJECTS
from syncer.closure.small_index import SmallIndex, needs

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir", "--isolated"]


@pytest.mark.parametrize("seed", range(4))
def test_pip_installs_the_same_lines(tmp_path: Path, seed: int) -> None:
    """pip finds releases for the lines if there is a proof, and else none, whatever pre-releases are on the page."""
    random = Random(seed)
    versions = [version for version in ANY.versions if version != "1.0.0"]  # it and 1.0 are one release for pip
    projects = {
        name: {
            version: [f"{random.choice(PROJECTS)}{random.choice(ANY.specifiers)}" for _ in range(random.randrange(3))]
            for version in random.sample(versions, random.randrange(1, 5))
        }
        for name in PROJECTS
    }
    lines = [f"{name}{random.choice(ANY.specifiers)}" for name in random.sample(PROJECTS, 2)]
    for name, releases in projects.items():
        for version, requirements in releases.items():
            wheel = build_wheel(Recipe(name=name, version=version, requires_dist=tuple(requirements)))
            (tmp_path / wheel.filename).write_bytes(wheel.content)
    offline = ["install", "--dry-run", "--ignore-installed", "--no-index", "--find-links", str(tmp_path)]
    outcome = subprocess.run([*PIP, *offline, *lines], capture_output=True, text=True, check=False)
    answer = solve(needs(*lines), SmallIndex(projects))
    assert (outcome.returncode == 0) == isinstance(answer, Solution), (lines, answer, outcome.stderr)

"""pip and uv as judges of pre-releases: where no final fits them they take one, and the mirror has it."""

import subprocess
import sys
from pathlib import Path

import pytest

from fakepypi.distributions import Recipe, build_wheel
from mirror_syncer.config.machines.machines import Machines
from syncer.closure.uv_judge import chosen_by_uv
from syncer.judged import Wish, file, kept

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir", "--isolated"]
ELSEWHERE = "cp32-cp32-win32"
"""The tags of another machine."""
ANYWHERE = "py3-none-any"
FINALS = (("1.0", ELSEWHERE), ("1.1", ELSEWHERE))


@pytest.mark.parametrize(
    ("wheels", "line", "wanted"),
    [
        pytest.param((*FINALS, ("1.1rc1", ANYWHERE), ("2.0rc1", ANYWHERE)), "", "2.0rc1", id="newest"),
        pytest.param((*FINALS, ("1.1rc1", ANYWHERE), ("2.0rc1", ANYWHERE)), "<2", "1.1rc1", id="within the line"),
        pytest.param((*FINALS, ("2.0rc1", ANYWHERE), ("2.0rc2", ELSEWHERE)), "", "2.0rc1", id="that fits"),
        pytest.param((*FINALS, ("0.9", ANYWHERE), ("2.0rc1", ANYWHERE)), "", "0.9", id="an old final"),
        pytest.param((*FINALS, ("0.9", ANYWHERE), ("2.0rc1", ANYWHERE)), ">=1", "2.0rc1", id="no final in the line"),
    ],
)
def test_clients_and_line_take_the_same_prerelease(
    tmp_path: Path, wheels: tuple[tuple[str, str], ...], line: str, wanted: str
) -> None:
    """Of a page without a final for a machine, pip and uv take the newest pre-release; a line with latest = 1, too."""
    for version, tag in wheels:
        wheel = build_wheel(Recipe(name="foo", version=version), tag)
        (tmp_path / wheel.filename).write_bytes(wheel.content)
    requirement = f"foo{line}"
    offline = ["install", "--dry-run", "--ignore-installed", "--no-index", "--find-links", str(tmp_path)]
    outcome = subprocess.run([*PIP, *offline, requirement], capture_output=True, text=True, check=False)
    assert f"Would install foo-{wanted}" in outcome.stdout, outcome.stderr
    assert chosen_by_uv(tmp_path, [requirement]) == [f"foo=={wanted}"]

    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    machines = Machines.parse(pythons=[python], platforms=["linux-x86_64"])
    files = [file(version, f"{tag}.whl") for version, tag in wheels]
    names = kept(files, Wish(lines=((line, 1, False),), machines=machines).policy)
    assert names == {f"foo-{wanted}-{ANYWHERE}.whl"}

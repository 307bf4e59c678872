"""A machine that no final release fits gets a pre-release: plan, sync, and API say so alike."""

import pytest

import fakepypi
from mirror_contract import Choice, Project, RunState
from syncer.planning import planned
from syncer.service.conftest import Serve
from syncer.site import Site

LINUX_312 = "cp312-cp312-manylinux_2_17_x86_64"
FINAL, PRERELEASE = f"tensor-1.1-{LINUX_312}.whl", "tensor-1.2rc1-py3-none-any.whl"
OLDER = {f"tensor-1.0-{LINUX_312}.whl", "tensor-1.2rc0-py3-none-any.whl"}


@pytest.fixture
def mixed(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """A mirror for two Pythons of a line whose finals fit one of them alone."""
    tensor = pypi.index.project("tensor")
    for version, tag in (("1.0", LINUX_312), ("1.1", LINUX_312), ("1.2rc0", "py3-none-any")):
        tensor.upload(version, sdist=False, tags=(tag,))
    tensor.upload("1.2rc1", sdist=False, requires_dist=("base",))
    pypi.index.project("base").upload("1.0", sdist=False)
    site.policy.write_text(
        '[mirror]\nprojects = ["tensor"]\nlatest = 1\n'
        '[machines]\npythons = ["3.12", "3.14"]\nplatforms = ["linux-x86_64"]\n'
    )
    return site


async def test_sync_mirrors_the_prerelease_that_a_machine_needs(mixed: Site) -> None:
    """A sync mirrors the newest final, the pre-release for the other Python, and what that requires."""
    run = await mixed.sync()

    assert (run.state, run.message) == (RunState.SUCCEEDED, None)
    assert mixed.filenames("tensor") == {FINAL, PRERELEASE}
    assert mixed.filenames("base") == {"base-1.0-py3-none-any.whl"}
    mixed.assert_whole()


async def test_plan_downloads_the_prerelease_that_a_machine_needs(mixed: Site) -> None:
    """The plan of a project names the same files as the sync, and why the others stay out."""
    report = await planned(mixed, "tensor")
    (tensor,) = [project for project in report.projects if project.name == "tensor"]
    choices = {file.filename: file.choice for file in tensor.files or ()}

    assert {name for name, choice in choices.items() if choice is Choice.KEEP} == {FINAL, PRERELEASE}
    assert {name for name, choice in choices.items() if choice is Choice.DROP} == OLDER


async def test_api_shows_the_prerelease_and_a_proof_for_each_machine(serve: Serve, mixed: Site) -> None:
    """The API shows the same decision, a line that is proved on both machines, and nothing unmet."""
    del mixed
    async with serve() as service:
        await service.running.sync()
        answer = await service.http.get("/projects/tensor")
        project = Project.model_validate_json(await answer.read())
        status = await service.http.get("/status")
        dependencies = (await status.json())["dependencies"]

    assert project.files is not None
    kept = {file.filename for file in project.files if file.decision is Choice.KEEP}
    assert (kept, {file.filename for file in project.files} - kept) == ({FINAL, PRERELEASE}, OLDER)
    assert (set(dependencies["unmet"].values()), dependencies["proofs"]) == ({0}, 2)

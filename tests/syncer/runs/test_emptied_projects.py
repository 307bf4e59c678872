"""A change of mirror.toml that would leave projects without a file meets the deletion guard."""

import pytest

import fakepypi
from mirror_contract import ProjectState, RunState
from syncer.planning import planned
from syncer.site import Site

NAMES = [f"project-{number:02}" for number in range(12)]  # the guard allows the removal of half of them
ALLOWED = 6

pytestmark = pytest.mark.proves("reliability/removal")


def create(pypi: fakepypi.FakePyPI, *names: str, wheel: bool = False) -> None:
    """Create projects with one release each upstream, by default a source distribution alone."""
    for name in names:
        pypi.index.project(name).upload("1.0", wheel=wheel)


def add(site: Site, rules: str) -> None:
    """Add rules to mirror.toml."""
    site.policy.write_text(f"{site.policy.read_text()}{rules}\n")


def empty_pages(site: Site) -> list[str]:
    """Return the projects whose page names no file."""
    return [name for name in site.pages() if not site.filenames(name)]


@pytest.mark.parametrize("rules", ['[files]\nkinds = ["wheel"]', '[machines]\nsdists = "none"'])
async def test_rules_that_would_empty_many_projects_are_withheld(
    site: Site, pypi: fakepypi.FakePyPI, rules: str
) -> None:
    """Rules that leave many projects without a file change none of them; the run says how much, and how to allow it."""
    create(pypi, *NAMES)
    create(pypi, "other", wheel=True)
    site.everything()
    async with site.running() as running:
        await running.sync()
        before = site.policy.read_text()
        add(site, rules)
        withheld = await running.sync()
        kept, other = empty_pages(site), site.filenames("other")
        row = running.row(NAMES[0])
        site.policy.write_text(before)
        corrected = await running.sync()
        after = running.row(NAMES[0])

    assert (withheld.state, withheld.counts.projects_withheld) == (RunState.INCOMPLETE, 12)
    assert "12 removals are withheld by the deletion guard" in (withheld.message or "")
    assert "mirrorctl sync --allow-removals 12" in (withheld.message or "")
    assert "12 of these are projects that mirror.toml would leave without a file (12 files, " in (
        withheld.message or ""
    )
    assert kept == []
    assert other == {"other-1.0-py3-none-any.whl"}
    assert row.state is ProjectState.BEHIND
    assert (corrected.state, corrected.message) == (RunState.SUCCEEDED, None)
    assert (after.state, after.lost_files, after.error) == (ProjectState.CURRENT, 0, None)


async def test_rules_that_empty_many_projects_are_applied_once_confirmed(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """`sync --allow-removals N` applies rules that leave projects without a file; their pages stay, and are empty."""
    create(pypi, *NAMES)
    site.everything(grace="0h")
    async with site.running() as running:
        await running.sync()
        add(site, '[files]\nkinds = ["wheel"]')
        await running.sync()
        too_few = await running.sync(allow_removals=11)
        kept = empty_pages(site)
        confirmed = await running.sync(allow_removals=12)

    assert (too_few.state, kept) == (RunState.INCOMPLETE, [])
    assert (confirmed.state, confirmed.message) == (RunState.SUCCEEDED, None)
    assert (empty_pages(site), confirmed.counts.files_removed) == (NAMES, 12)


async def test_rules_that_empty_few_projects_are_applied_at_once(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Rules that leave no more projects without a file than a day may lose are applied in the same sync."""
    create(pypi, *NAMES[:ALLOWED])
    create(pypi, *NAMES[ALLOWED:], wheel=True)
    site.everything()
    async with site.running() as running:
        await running.sync()
        add(site, '[files]\nkinds = ["wheel"]')
        run = await running.sync()

    assert (run.state, run.counts.projects_withheld) == (RunState.SUCCEEDED, 0)
    assert empty_pages(site) == NAMES[:ALLOWED]


@pytest.mark.parametrize(
    "rules", ["[age]\nnot_after = 2020-01-01", f"[block]\nprojects = {[f'{name}==1.0' for name in NAMES]}"]
)
async def test_blocks_and_the_cooldown_do_not_meet_the_guard(site: Site, pypi: fakepypi.FakePyPI, rules: str) -> None:
    """What is blocked or too young leaves in the run that reads it, however many projects have nothing else."""
    create(pypi, *NAMES)
    site.everything()
    async with site.running() as running:
        await running.sync()
        add(site, rules)
        run = await running.sync()

    assert (run.state, run.counts.projects_withheld) == (RunState.SUCCEEDED, 0)
    assert empty_pages(site) == NAMES


async def test_blocked_files_leave_while_the_guard_keeps_the_others(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The blocked files of a project that would be emptied leave at once, and its other files wait for the guard."""
    create(pypi, *NAMES)
    for name in NAMES:
        pypi.index.project(name).upload("2.0", wheel=False)
    site.everything()
    async with site.running() as running:
        await running.sync()
        add(site, f'[files]\nkinds = ["wheel"]\n[block]\nprojects = ["{NAMES[0]}==2.0"]')
        run = await running.sync()

    assert run.counts.projects_withheld == 12
    assert site.filenames(NAMES[0]) == {f"{NAMES[0].replace('-', '_')}-1.0.tar.gz"}
    assert len(site.filenames(NAMES[1])) == 2


async def test_run_that_only_applies_the_policy_withholds_as_well(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A run that applies a policy without upstream withholds what would empty many projects, and says so."""
    create(pypi, *NAMES)
    site.everything()
    async with site.running() as running:
        await running.sync()
        add(site, '[files]\nkinds = ["wheel"]')
        run = await running.sync(offline=True)

    assert (run.state, run.counts.projects_withheld, empty_pages(site)) == (RunState.INCOMPLETE, 12, [])


async def test_exclude_of_everything_is_withheld(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """`exclude` of more projects than a day may lose removes none of them."""
    create(pypi, *NAMES)
    site.everything()
    async with site.running() as running:
        await running.sync()
        site.policy.write_text(site.policy.read_text().replace("[removal]", 'exclude = ["*"]\n[removal]'))
        await running.sync()
        create(pypi, "other")  # a second list confirms what the first one lacks
        run = await running.sync()

    assert (run.state, run.counts.projects_withheld) == (RunState.INCOMPLETE, 12)
    assert (site.pages(), empty_pages(site)) == (NAMES, [])


async def test_plan_shows_what_the_guard_would_keep(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The plan of a project that rules would empty shows each of its files as kept by the guard, and why."""
    create(pypi, *NAMES)
    site.everything()
    await site.sync()
    add(site, '[files]\nkinds = ["wheel"]')
    projects = (await planned(site, *NAMES)).projects

    assert {project.action for project in projects} == {"withheld"}
    (file,) = projects[0].files or ()
    assert file.choice == "lost"
    assert file.reason.startswith("its kind is sdist, and [files] kinds names wheel; no file of its project")

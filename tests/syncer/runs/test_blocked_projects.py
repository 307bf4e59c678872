"""Names with ``scope = "everything"``: which are asked for, and what a change of patterns and blocks does to them."""

import json

import pytest

import fakepypi
from mirror_contract import RunState
from syncer.site import Site

pytestmark = pytest.mark.proves("reliability/blocks")
NAMES = ("acme-auth", "evilpkg", "foo-nightly", "idna", "six", "tf-x")


def write(site: Site, mirror: str = "", rest: str = "") -> None:
    """Write a mirror.toml for the whole index."""
    site.policy.write_text(f'[mirror]\nscope = "everything"\n{mirror}\n[removal]\nguard = "100%"\n{rest}\n')


def asked(pypi: fakepypi.FakePyPI) -> set[str]:
    """Return the projects that upstream was asked about."""
    paths = pypi.log.paths()
    return {name for name in NAMES if any(f"/{name}/" in path or f"/{name}-" in path for path in paths)}


async def test_names_that_are_not_wanted_are_never_asked_for(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Excluded and blocked names are no backlog: upstream never hears of them, and the list counts as settled."""
    for name in NAMES:
        pypi.index.project(name).upload("1.0")
    write(
        site,
        'include = ["*-*", "six", "evil*", "idna"]\nexclude = ["*-nightly", "/^tf-/"]',
        '[block]\nprojects = ["acme-*", "evilpkg"]',
    )
    async with site.running() as running:
        run = await running.sync()
        first = asked(pypi)
        pypi.log.forget()
        again = await running.sync(force=True)
        due = running.mirror.catalog.due
        known = running.mirror.catalog.listing.last()
        assert known is not None
        assert known.serial is not None
        settled, serial = due.settled_serial(upstream=known.serial), known.serial

    assert run.state is again.state is RunState.SUCCEEDED
    assert first == asked(pypi) == {"idna", "six"}
    assert site.pages() == ["idna", "six"]
    assert settled == serial


async def test_changed_patterns_are_applied_though_the_list_is_the_same(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The list is merged again when patterns or blocks change, even if upstream answers that it did not change."""
    for name in NAMES:
        pypi.index.project(name).upload("1.0")
    write(site, 'exclude = ["*-*"]', '[block]\nprojects = ["evilpkg"]')
    async with site.running() as running:
        await running.sync()
        before = site.pages()
        write(site, 'exclude = ["tf-*"]', '[block]\nprojects = ["idna"]')
        await running.sync()
        after = site.pages()
        write(site)
        await running.sync()

    assert before == ["idna", "six"]
    assert after == ["acme-auth", "evilpkg", "foo-nightly", "six"]
    assert site.pages() == sorted(NAMES)
    site.assert_whole()


async def test_block_of_a_name_asks_no_guard(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A block that covers most of a mirror is in force at once: the guard judges what upstream does."""
    for name in NAMES:
        pypi.index.project(name).upload("1.0")
    site.everything(guard="0%")
    async with site.running() as running:
        await running.sync()
        site.policy.write_text(f'{site.policy.read_text()}\n[block]\nprojects = ["*-*", "evilpkg", "idna"]\n')
        run = await running.sync()

    assert run.state is RunState.SUCCEEDED
    assert run.counts.projects_withheld == 0
    assert site.pages() == ["six"]
    listed = json.loads((site.web / "simple/index.v1_json").read_bytes())["projects"]
    assert [one["name"] for one in listed] == ["six"]


async def test_project_that_only_a_lock_names_is_mirrored(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """What a lock pins is mirrored in both scopes, though no line or pattern names its project."""
    for version in ("1.0", "2.0"):
        pypi.index.project("six").upload(version)
        pypi.index.project("idna").upload(version)
    (site.policy.parent / "requirements.txt").write_text("idna==1.0\n")
    locks = '[dependencies]\nlocks = ["requirements.txt"]'
    for mirror in ('projects = ["six"]', 'scope = "everything"\ninclude = ["six"]'):
        site.policy.write_text(f"[mirror]\n{mirror}\n{locks}\n")
        run = await site.sync()
        assert (run.state, run.failures) == (RunState.SUCCEEDED, [])
        assert site.filenames("idna") == {"idna-1.0-py3-none-any.whl", "idna-1.0.tar.gz"}
        assert len(site.filenames("six")) == 4

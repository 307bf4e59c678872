"""A candidate for mirror.toml is previewed with its own dependencies, as far as they are known here."""

import pytest

import fakepypi
from mirror_contract import PolicyCheck
from mirror_syncer.commands.checking import check_file
from mirror_syncer.config.settings import Settings
from syncer.requiring import upload
from syncer.site import Site


def checked(site: Site, *lines: str, more: str = "") -> PolicyCheck:
    """Return the check of a candidate with these lines, beside the service."""
    before = site.policy.read_text()
    site.select(*lines, guard="100%", follow=True)
    candidate = site.policy.with_name("candidate.toml")
    candidate.write_text(site.policy.read_text() + more)
    site.policy.write_text(before)
    settings = Settings.model_validate(
        {"data": site.data, "state": site.state, "policy": site.policy, "upstream": site.upstream}
    )
    return check_file(settings, candidate)


@pytest.fixture
async def app(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """Return a mirror that has one project, and two that it needs."""
    upload(pypi, "app 1.0: lib", "lib 1.0: base", "base 1.0", "other 1.0: base")
    site.select("app", guard="100%", follow=True)
    await site.sync()
    pypi.log.forget()
    return site


async def test_same_lines_change_nothing(app: Site) -> None:
    """Dependencies that are here stay in a preview of the same lines, and are no news."""
    check = checked(app, "app")

    assert (check.selected, check.leaving, check.arriving, check.warnings) == (3, 0, 0, [])


async def test_removed_line_takes_what_only_it_needs(app: Site, pypi: fakepypi.FakePyPI) -> None:
    """A preview without a line counts its closure as leaving, without a request, and keeps what others need."""
    check = checked(app, "lib")

    assert (check.leaving_names, check.warnings) == (["app"], [])
    assert checked(app, "base").leaving_names == ["app", "lib"]
    assert pypi.log.paths() == []


async def test_new_line_of_an_unknown_project_is_said(app: Site, pypi: fakepypi.FakePyPI) -> None:
    """What a new line needs is unknown before a request: the preview says so, and nothing else leaves."""
    check = checked(app, "app", "other")

    assert (check.arriving_names, check.leaving) == (["other"], 0)
    assert check.warnings == ["what other need is not known here and not counted; a sync asks upstream"]
    assert pypi.log.paths() == []


async def test_candidate_beyond_a_limit_is_warned_about(app: Site) -> None:
    """A candidate whose dependencies exceed ``[limits]`` gets a warning that a sync stops."""
    check = checked(app, "app", "lib", more="[limits]\nprojects = 2\n")

    assert len(check.warnings) == 1
    assert check.warnings[0].startswith(
        "a sync downloads nothing: [limits] projects = 2, and the lines need 3 projects"
    )

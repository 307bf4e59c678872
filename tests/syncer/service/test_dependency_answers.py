"""What the API says about the dependency closure: what is unmet, and why each release is here."""

from datetime import UTC, datetime
from typing import Any

import pytest
from packaging.utils import NormalizedName

import fakepypi
from mirror_contract import (
    DependencySummary,
    Project,
    RequirementState,
    SelectionCause,
    Status,
    UnmetReason,
    UnmetRequirement,
)
from mirror_syncer.catalog.closures import Closures
from mirror_syncer.config.policy.closure import Closure, Unmet
from syncer.service.conftest import Serve, Service
from syncer.site import Site

PYTHON = 'pythons = ["3.12"]'


def upload(pypi: fakepypi.FakePyPI, *releases: str) -> None:
    """Upload releases, each written as in ``app 1.0: lib>=2, other``."""
    for text in releases:
        release, _, requires = text.partition(":")
        name, version = release.split()
        lines = tuple(one.strip() for one in requires.split(",") if one.strip())
        pypi.index.project(name).upload(version, sdist=False, requires_dist=lines)


@pytest.fixture
def chained(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """A mirror of two lines that cannot be installed, what the first one needs, and a lock."""
    upload(
        pypi,
        "app 1.0: lib>=2, socks>=1; extra == 'socks', gone; python_version < '3', missing; sys_platform == 'none'",
        "lib 1.0",
        "lib 2.0: base, nothing>=1",
        "base 1.0: old<1",
        "old 2.0",
        "torn 1.0: base<1",
        "socks 1.0",
        "pinned 1.0",
        "pinned 2.0",
    )
    (site.policy.parent / "team.txt").write_text("pinned==1.0\n")
    site.policy.write_text(
        '[mirror]\nprojects = ["app", "torn"]\n[dependencies]\nlocks = ["team.txt"]\n'
        '[machines]\npythons = ["3.12"]\nplatforms = ["linux-x86_64"]\n'
    )
    return site


async def unmet(service: Service, query: str = "") -> tuple[list[UnmetRequirement], str | None]:
    """Return a part of the list, and where the rest begins."""
    return await service.read_list(f"/unmet{query}", UnmetRequirement)


async def summary(service: Service) -> DependencySummary | None:
    """Return what the status says about dependencies."""
    return Status.model_validate_json(await (await service.http.get("/status")).read()).dependencies


async def project(service: Service, name: str) -> Project:
    """Return a project."""
    return Project.model_validate_json(await (await service.http.get(f"/projects/{name}")).read())


@pytest.mark.proves("reliability/status")
async def test_unmet_requirements_are_listed_with_their_reasons(serve: Serve, chained: Site) -> None:
    """GET /unmet lists lines without a proof first, then each unmet requirement with release, machines and reason."""
    del chained
    async with serve() as service:
        before, _ = await unmet(service)
        await service.running.sync()
        everything, rest = await unmet(service)
        held, _ = await unmet(service, "?reason=no_project&reason=held")
        of_one, _ = await unmet(service, "?project=BASE")

    assert before == []
    assert [(one.project, one.version, one.requirement, one.reason.value) for one in everything] == [
        ("app", "", "app", "no_proof"),
        ("torn", "", "torn", "no_proof"),
        ("base", "1.0", "old<1", "no_release"),
        ("lib", "2.0", "nothing>=1", "no_project"),
        ("torn", "1.0", "base<1", "no_release"),
    ]
    assert rest is None
    assert all(one.machines == ["Python 3.12 on linux-x86_64"] for one in everything)
    assert "app 1.0 requires lib>=2" in everything[0].message
    assert [one.requirement for one in held] == ["nothing>=1"]
    assert [one.requirement for one in of_one] == ["old<1"]


async def test_parts_of_the_unmet_list_make_up_the_whole(serve: Serve, chained: Site) -> None:
    """Read in parts of any size, the list names each requirement once, in the same order."""
    del chained
    async with serve() as service:
        await service.running.sync()
        whole, _ = await unmet(service)
        for limit in (1, 2, 4):
            found: list[UnmetRequirement] = []
            after: str | None = ""
            while after is not None and len(found) <= len(whole):
                part, after = await unmet(service, f"?limit={limit}" + (f"&after={after}" if after else ""))
                assert len(part) <= limit
                found += part
            assert found == whole


@pytest.mark.parametrize(
    ("query", "told"),
    [("after=six", "query/after"), ("reason=none", "reason 'none'"), ("project=/etc/x", "query/project")],
)
async def test_wrong_query_of_unmet_requirements_is_a_problem(serve: Serve, site: Site, query: str, told: str) -> None:
    """A wrong filter or place is 422 and named."""
    site.select("six")
    async with serve() as service:
        answer = await service.http.get(f"/unmet?{query}")
        body = await answer.json(content_type=None)

    assert (answer.status, told in body["detail"]) == (422, True)


@pytest.mark.proves("reliability/status")
async def test_status_sums_up_the_closure(serve: Serve, chained: Site) -> None:
    """The status counts projects by cause, unmet requirements by reason, and lines without a proof with the reasons."""
    del chained
    async with serve() as service:
        before = await summary(service)
        started = datetime.now(UTC).replace(microsecond=0)
        await service.running.sync()
        found = await summary(service)

    assert before is not None
    assert (before.resolved_at, before.lines, before.unmet_requirements) == (None, 2, 0)
    assert found is not None
    assert found.resolved_at is not None
    assert started <= found.resolved_at <= datetime.now(UTC)
    assert found.projects == {SelectionCause.LINE: 2, SelectionCause.REQUIRED: 3, SelectionCause.LOCK: 1}
    assert (found.lines, found.lines_without_proof, found.proofs) == (2, 2, 0)
    assert [one.requirement for one in found.without_proof] == ["app", "torn"]
    assert {reason: number for reason, number in found.unmet.items() if number} == {
        UnmetReason.NO_PROOF: 2,
        UnmetReason.NO_PROJECT: 1,
        UnmetReason.NO_RELEASE: 2,
    }
    assert found.unmet_requirements == 3


async def test_status_does_not_decode_the_closure(serve: Serve, chained: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status, metrics and lists come from the policy in force; the stored document, of megabytes, is not read again."""
    del chained
    async with serve() as service:
        await service.running.sync()
        monkeypatch.setattr(Closures, "get", None)  # a call would fail

        assert await summary(service) is not None
        assert (await service.http.get("/metrics")).status == 200
        assert (await unmet(service))[0]
        assert (await project(service, "app")).dependencies is not None


async def test_project_tells_its_chain_and_requirements(serve: Serve, chained: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project tells why each release is here, what it requires and whether that is here; upstream is not asked."""
    del chained
    async with serve() as service:
        await service.running.sync()
        pypi.log.forget()
        app, lib, pinned = [(await project(service, name)).dependencies for name in ("app", "lib", "pinned")]
        asked = pypi.log.exchanges

    assert app is not None
    assert lib is not None
    assert pinned is not None
    assert list(asked) == []
    assert [(one.version, one.because) for one in app.releases] == [("1.0", "app")]
    assert {one.requirement: one.state.value for one in app.requires} == {
        "lib>=2": "here",
        "socks>=1; extra == 'socks'": "unneeded",
        "gone; python_version < '3'": "unneeded",
        "missing; sys_platform == 'none'": "unneeded",
    }
    assert [(one.version, one.because) for one in lib.releases] == [("2.0", "app → lib>=2")]
    assert [(one.requirement, one.project, one.state, one.releases, one.message) for one in lib.requires] == [
        ("base", "base", RequirementState.HERE, ["2.0"], None),
        ("nothing>=1", "nothing", RequirementState.UNMET, ["2.0"], "upstream has no project nothing"),
    ]
    assert lib.requires[1].machines == ["Python 3.12 on linux-x86_64"]
    assert [(one.project, one.requirement) for one in lib.required_by] == [("app", "lib>=2")]
    assert [one.because for one in pinned.releases] == ["lock team.txt, line 1"]


async def test_witness_of_a_line_is_named(serve: Serve, site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A release that is here only because a proof needs it tells of which line and machine it is the witness."""
    upload(pypi, "app 1.0: one, two", "one 1.0: two<2", "two 1.0", "two 2.0")
    site.policy.write_text(
        '[mirror]\nprojects = ["app"]\n[machines]\npythons = ["3.12"]\nplatforms = ["linux-x86_64"]\n'
    )
    upload(pypi, "three 1.0", "three 1.5", "three 2.0", "one 2.0: three<2", "app 2.0: one, three!=1.5, two")
    async with serve() as service:
        await service.running.sync()
        found = (await project(service, "three")).dependencies

    assert found is not None
    assert {one.version: one.because for one in found.releases} == {
        "2.0": "app → three!=1.5",
        "1.5": "app → one → three<2",
        "1.0": "witness of app on Python 3.12 on linux-x86_64",
    }
    assert [(one.project, one.requirement) for one in found.required_by] == [("app", "three!=1.5"), ("one", "three<2")]


@pytest.mark.proves("reliability/status")
@pytest.mark.parametrize("follow", [True, False])
async def test_metrics_count_the_closure(serve: Serve, chained: Site, follow: bool) -> None:  # noqa: FBT001 - a case
    """The metrics count projects by cause, unmet requirements by reason, and lines without proof; else each is 0."""
    if not follow:
        chained.policy.write_text(
            chained.policy.read_text().replace("[dependencies]", "[dependencies]\nfollow = false")
        )
    async with serve() as service:
        await service.running.sync()
        text = await (await service.http.get("/metrics")).text()
        status = await summary(service)
        listed, _ = await unmet(service)
        app = (await project(service, "app")).dependencies

    found = {
        line.split()[0].removeprefix("pypi_mirror_"): int(float(line.split()[1]))
        for line in text.splitlines()
        if line.startswith(("pypi_mirror_closure_projects{", "pypi_mirror_unmet_", "pypi_mirror_lines_without"))
    }
    told = {key: number for key, number in found.items() if number}
    assert len(found) == len(SelectionCause) + len(UnmetReason) - 2 + 1
    assert told == (
        {
            'closure_projects{why="line"}': 2,
            'closure_projects{why="required"}': 3,
            'closure_projects{why="lock"}': 1,
            'unmet_requirements{reason="no_project"}': 1,
            'unmet_requirements{reason="no_release"}': 2,
            "lines_without_proof": 2,
        }
        if follow
        else {}
    )
    assert follow or (status, listed, app) == (None, [], None)


async def test_one_reason_is_shown_for_each_line(serve: Serve, site: Site) -> None:
    """A line that fails for several reasons counts once; the status shows the first reason of twenty lines."""
    site.select("six", follow=True)
    entries = [
        Unmet(NormalizedName(f"p{number}"), "", f"p{number}", (machine,), UnmetReason.NO_PROOF, f"because {machine}")
        for number in range(30)
        for machine in ("a", "b")
    ]
    async with serve() as service:
        service.running.mirror.policy.follow(Closure(unmet=tuple(entries)))
        found = await summary(service)
        listed: list[Any] = (await unmet(service, "?limit=200"))[0]

    assert found is not None
    assert (found.lines_without_proof, found.unmet[UnmetReason.NO_PROOF], len(listed)) == (30, 30, 60)
    assert [one.message for one in found.without_proof] == ["because a"] * 20

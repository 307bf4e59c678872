"""What the API says about files that clients cannot download for now."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import fakepypi
from mirror_contract import HeldFile, Project, ProjectState, Status
from mirror_syncer.catalog import Catalog, Fact, WithheldKey, WithheldTotals
from mirror_syncer.model.project import ProjectRow
from mirror_syncer.service import held
from syncer.service.conftest import Serve, Service
from syncer.site import Site

DAY = timedelta(days=1)

pytestmark = pytest.mark.proves("reliability/cooldown")


@pytest.fixture
def young(site: Site, pypi: fakepypi.FakePyPI) -> fakepypi.FakePyPI:
    """Four projects before a mirror that waits a week: aa matures last; cc has a blocked file; dd is all blocked."""
    now = datetime.now(UTC)
    for name, version, age in (
        ("aa", "1.0", 1),
        ("bb", "1.0", 30),
        ("bb", "1.1", 3),
        ("bb", "1.2", 2),
        ("cc", "1.0", 30),
        ("cc", "1.1", 2),
        ("dd", "1.0", 30),
        ("ee", "1.0", 30),
    ):
        pypi.index.project(name).upload(version, wheel=False, uploaded_at=now - age * DAY)
    site.policy.write_text(
        '[mirror]\nprojects = ["aa", "bb", "cc", "dd", "ee"]\n[dependencies]\nfollow = false\n[age]\nmin = "7d"\n'
        '[block]\nprojects = ["cc==1.0", "dd==1.0", { name = "ff-*", because = "ours" }]\n'
    )
    return pypi


async def files(service: Service, query: str = "") -> tuple[list[HeldFile], str | None]:
    """Return a part of the list, and where the rest begins."""
    return await service.read_list(f"/held{query}", HeldFile)


async def test_held_files_are_listed_by_the_time_of_their_publication(serve: Serve, young: fakepypi.FakePyPI) -> None:
    """GET /held lists held files by the time when they mature, then files without a time, each with its reason."""
    del young
    async with serve() as service:
        await service.running.sync()
        everything, rest = await files(service)
        held_only, _ = await files(service, "?decision=hold")
        blocked, _ = await files(service, "?decision=block")
        of_one, _ = await files(service, "?project=CC")
        of_none, _ = await files(service, "?project=ee")

    assert [(one.filename, one.decision.value) for one in everything] == [
        ("bb-1.1.tar.gz", "hold"),
        ("bb-1.2.tar.gz", "hold"),
        ("cc-1.1.tar.gz", "hold"),
        ("cc-1.0.tar.gz", "block"),
        ("aa-1.0.tar.gz", "hold"),
        ("dd-1.0.tar.gz", "block"),
    ]
    assert rest is None
    first = everything[0]
    assert first.until is not None
    assert abs(first.until - (datetime.now(UTC) + 4 * DAY)) < timedelta(minutes=5)
    assert "this mirror waits 7 days" in first.reason
    assert everything[3].until is None
    assert "[block] projects names 'cc==1.0'" in everything[3].reason
    assert [one.project for one in held_only] == ["bb", "bb", "cc", "aa"]
    assert [one.project for one in blocked] == ["cc", "dd"]
    assert [one.filename for one in of_one] == ["cc-1.1.tar.gz", "cc-1.0.tar.gz"]
    assert of_none == []


@pytest.mark.parametrize("pages", [1, 2, 200])
async def test_parts_of_the_list_make_up_the_whole(
    serve: Serve, young: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    """Read in parts of any size, and with any bound on pages read, the list names each file once, in the same order."""
    del young
    async with serve() as service:
        await service.running.sync()
        whole, _ = await files(service)
        monkeypatch.setattr(held, "_MAX_PAGES_READ", pages)
        for limit in (1, 2, 5):
            found: list[HeldFile] = []
            after: str | None = ""
            while after is not None and len(found) <= len(whole):
                part, after = await files(service, f"?limit={limit}" + (f"&after={after}" if after else ""))
                assert len(part) <= limit
                found += part
            assert found == whole


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("after=six", "query/after"),
        ("decision=keep", "query/decision"),
        ("project=/etc/x", "query/project"),
    ],
)
async def test_wrong_query_is_a_problem_that_points(serve: Serve, site: Site, query: str, pointer: str) -> None:
    """A wrong filter or place is 422 and named."""
    site.select("six")
    async with serve() as service:
        answer = await service.http.get(f"/held?{query}")
        body = await answer.json(content_type=None)

    assert (answer.status, body["errors"][0]["pointer"]) == (422, pointer)


async def test_project_and_status_tell_what_is_held(serve: Serve, young: fakepypi.FakePyPI) -> None:
    """A project shows hold with its time and block with its reason; the status counts both and says what comes next."""
    del young

    async def show(name: str) -> Any:
        return await (await service.http.get(f"/projects/{name}")).json(content_type=None)

    async with serve() as service:
        await service.running.sync()
        status = Status.model_validate_json(await (await service.http.get("/status")).read())
        waiting = [one["name"] for one in (await (await service.http.get("/projects?state=waiting")).json())["items"]]
        cc, aa = Project.model_validate(await show("cc")), Project.model_validate(await show("aa"))
        unknown, whole = await show("gg"), await show("ff-lib")

    assert status.held is not None
    assert (status.held.held_files, status.held.blocked_files, status.held.projects) == (4, 2, 4)
    assert status.held.next_change_at is not None
    assert abs(status.held.next_change_at - (datetime.now(UTC) + 4 * DAY)) < timedelta(minutes=5)
    assert status.projects[ProjectState.WAITING] == 3
    assert waiting == ["aa", "cc", "dd"]
    assert (aa.state, aa.held_files, aa.blocked_files) == (ProjectState.WAITING, 1, 0)
    assert (cc.held_files, cc.blocked_files) == (1, 1)
    told = [(file.filename, file.decision.value, file.url, file.until is not None) for file in cc.files or []]
    assert told == [("cc-1.0.tar.gz", "block", None, False), ("cc-1.1.tar.gz", "hold", None, True)]
    assert unknown["detail"] == "gg is not mirrored, and no line selects it; `mirrorctl add gg` adds one."
    assert whole["detail"] == "ff-lib is blocked in mirror.toml: ours."


async def test_metrics_count_what_is_held(
    serve: Serve, young: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The metrics count held and blocked files and waiting projects, and tell when a publication is late."""
    del young

    def gauge(service: Service, name: str, **labels: str) -> float | None:
        return service.running.mirror.metrics.registry.get_sample_value(f"pypi_mirror_{name}", labels)

    names = ("held_files", "blocked_files", "released_versions", "maturity_late_seconds")
    async with serve() as service:
        await service.running.sync()
        found = {name: gauge(service, name) for name in names}
        waiting = gauge(service, "projects", state="waiting")
        expiry = gauge(service, "held_next_expiry_timestamp_seconds")
        assert expiry is not None
        assert abs(expiry - time.time() - 4 * DAY.total_seconds()) < 300
        monkeypatch.setattr("mirror_syncer.service.snapshot.time.time", lambda: expiry + 400)
        late = gauge(service, "maturity_late_seconds")
        service.running.mirror.catalog.remember(Fact.PAUSED, "1")
        paused = gauge(service, "maturity_late_seconds")

    assert found == {"held_files": 4, "blocked_files": 2, "released_versions": 0, "maturity_late_seconds": 0}
    assert waiting == 3
    assert (late, paused) == (400, 0)


async def test_warnings_about_the_policy_are_counted_by_kind(serve: Serve, site: Site) -> None:
    """A lock that cannot be read and lines that contradict each other are warnings of different kinds."""
    site.policy.with_name("uv.lock").write_text("version = 99\n")
    site.policy.write_text(
        '[mirror]\nprojects = ["six"]\n[dependencies]\nlocks = ["uv.lock"]\n[block]\nprojects = ["six"]\n'
    )
    async with serve() as service:
        registry = service.running.mirror.metrics.registry
        status = Status.model_validate_json(await (await service.http.get("/status")).read())

    counted = {
        kind: registry.get_sample_value("pypi_mirror_policy_warnings", {"kind": kind})
        for kind in ("locks", "advisories", "lines")
    }
    assert counted == {"locks": 1, "advisories": 0, "lines": 1}
    assert status.policy is not None
    assert len(status.policy.warnings) == 2


async def test_blocked_project_says_so(serve: Serve, site: Site, young: fakepypi.FakePyPI) -> None:
    """A project that is blocked after its publication is withdrawn, and its answer gives the reason."""
    del young
    async with serve() as service:
        await service.running.sync()
        site.policy.write_text(
            '[mirror]\nprojects = ["aa", "bb", "cc", "dd"]\n[block]\nprojects = [{name = "bb", because = "malware"}]\n'
        )
        service.running.mirror.policy.reload()
        leaving = Project.model_validate_json(await (await service.http.get("/projects/bb")).read())
        await service.running.sync()
        gone = Project.model_validate_json(await (await service.http.get("/projects/bb")).read())

    assert {(file.decision.value, file.reason) for file in leaving.files or []} == {
        ("leaving", "blocked in mirror.toml: malware")
    }
    assert (gone.state, gone.error, gone.files) == (ProjectState.WITHDRAWN, "blocked in mirror.toml: malware", [])


async def test_expired_decision_is_not_remembered(
    serve: Serve, young: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a held file is due, the project's answer says keep, although its row has not changed yet."""
    del young
    async with serve() as service:
        await service.running.sync()
        before = Project.model_validate_json(await (await service.http.get("/projects/aa")).read())
        now = time.time() + 7 * DAY.total_seconds()
        monkeypatch.setattr("mirror_syncer.service.status.time.time", lambda: now)
        after = Project.model_validate_json(await (await service.http.get("/projects/aa")).read())

    assert [[file.decision.value for file in one.files or []] for one in (before, after)] == [["hold"], ["keep"]]


async def test_time_after_the_year_9999_is_no_time(serve: Serve, site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A file that claims to be uploaded in the year 9999 is held, and the answers that name it have no time."""
    late = datetime(9999, 12, 31, tzinfo=UTC)
    pypi.index.project("aa").upload("1.0", wheel=False, uploaded_at=late)
    site.policy.write_text('[mirror]\nprojects = ["aa"]\n[age]\nmin = "7d"\n')
    async with serve() as service:
        await service.running.sync()
        listed, _ = await files(service)
        shown = Project.model_validate_json(await (await service.http.get("/projects/aa")).read())
        status = await service.http.get("/status")

    assert [(one.filename, one.until) for one in listed] == [("aa-1.0.tar.gz", None)]
    assert [(one.decision.value, one.until) for one in shown.files or []] == [("hold", None)]
    assert status.status == 200


def test_withheld_projects_are_paged_on_each_database(catalog: Catalog) -> None:
    """SQLite and PostgreSQL list projects by their next change, and those without one last, by name."""
    rows = [
        ProjectRow("a", held_files=1, expires_at=300),  # type: ignore[arg-type]
        ProjectRow("b", held_files=2, blocked_files=1, expires_at=100),  # type: ignore[arg-type]
        ProjectRow("c", blocked_files=4),  # type: ignore[arg-type]
        ProjectRow("d", expires_at=50),  # type: ignore[arg-type]
        ProjectRow("e", held_files=1),  # type: ignore[arg-type]
        ProjectRow("f"),  # type: ignore[arg-type]
    ]
    catalog.projects.replace(rows)
    named = {row.name: row for row in rows}

    def page(start: WithheldKey, *, held: bool = True, blocked: bool = True, limit: int = 10) -> str:
        found = catalog.withheld.page(held=held, blocked=blocked, start=start, limit=limit)
        return "".join(row.name for row in found)

    assert catalog.withheld.totals() == WithheldTotals(held_files=4, blocked_files=5, projects=4)
    assert page(WithheldKey()) == "bace"
    assert page(WithheldKey(), limit=3) == "bac"
    assert page(WithheldKey(), blocked=False) == "bae"
    assert page(WithheldKey(), held=False) == "bc"
    assert [page(WithheldKey.of(named[name])) for name in "bace"] == ["bace", "ace", "ce", "e"]  # type: ignore[index]

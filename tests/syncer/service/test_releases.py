"""Releases: a person releases a version from the cooldown, for a time and with a reason."""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import fakepypi
from mirror_contract import Choice, Project, Release, RunState
from mirror_contract.release import MAX_RELEASES
from mirror_syncer.catalog import Catalog, StoredExemption
from mirror_syncer.config import format_moment
from mirror_syncer.service.release_api import RELEASED_BY
from syncer.service.conftest import Serve, Service
from syncer.site import Site

COOLDOWN = '[mirror]\nprojects = ["six<3", "idna"]\n[age]\nmin = "7d"\n'
FIX = {"requirement": "six==1.1", "because": "CVE-2026-1234"}

pytestmark = pytest.mark.proves("reliability/cooldown")


@pytest.fixture
def young(site: Site, pypi: fakepypi.FakePyPI) -> fakepypi.FakePyPI:
    """An index with an old release of six and one of yesterday, for a mirror that waits a week."""
    six = pypi.index.project("six")
    six.upload("1.0", wheel=False)
    six.upload("1.1", wheel=False, uploaded_at=datetime.now(UTC) - timedelta(days=1))
    site.policy.write_text(COOLDOWN)
    return pypi


async def release(service: Service, body: dict[str, str] = FIX, *, by: str = "alice") -> Release:
    """Release a version and wait for the run that publishes it."""
    answer = await service.http.post("/releases", json=body, headers={RELEASED_BY: by})
    assert answer.status == 201, await answer.text()
    released = Release.model_validate_json(await answer.read())
    await finish(service, released)
    return released


async def finish(service: Service, change: Release) -> None:
    """Wait for the run of a change."""
    assert change.run is not None
    run = service.running.mirror.runs.get(change.run)
    assert run is not None
    assert (await service.running.ended(run)).state is RunState.SUCCEEDED


async def refusal(service: Service, requirement: str, **more: str) -> tuple[int, str]:
    """Return the status and the text of a refused release."""
    body: dict[str, Any] = {"requirement": requirement, "because": "a test", **more}
    answer = await service.http.post("/releases", json=body)
    problem = await answer.json(content_type=None)
    details = [one["detail"] for one in problem.get("errors", [])]
    return answer.status, "; ".join((problem["detail"], *details))


async def listed(service: Service) -> list[dict[str, Any]]:
    """Return the releases in force."""
    answer = await (await service.http.get("/releases")).json()
    assert answer["next"] is None
    items: list[dict[str, Any]] = answer["items"]
    return items


async def test_released_version_is_published_without_asking_upstream(
    serve: Serve, site: Site, young: fakepypi.FakePyPI
) -> None:
    """A release publishes a held version at once by upstream's last page; revoked, the version is held again."""
    async with serve() as service:
        await service.running.sync("six")
        before = site.filenames("six")
        young.log.forget()
        released = await release(service)
        paths = young.log.paths()
        during = site.filenames("six")
        in_force = await listed(service)
        project = Project.model_validate_json(await (await service.http.get("/projects/six")).read())
        revoked = await service.http.delete(f"/releases/{released.id}")
        change = Release.model_validate_json(await revoked.read())
        await finish(service, change)
        after, left = site.filenames("six"), await listed(service)
        again = (await service.http.delete(f"/releases/{released.id}")).status

    assert (before, after) == ({"six-1.0.tar.gz"}, {"six-1.0.tar.gz"})
    assert during == {"six-1.0.tar.gz", "six-1.1.tar.gz"}
    assert all("/simple/" not in path for path in paths), paths
    assert (released.requirement, released.by, released.warnings) == ("six==1.1", "alice", [])
    assert released.until - released.made_at == timedelta(days=14)
    assert [(one["id"], one["because"], one["by"], one["run"]) for one in in_force] == [
        (released.id, "CVE-2026-1234", "alice", None)
    ]
    until = format_moment(int(released.until.timestamp()))
    reasons = {file.filename: file.reason for file in project.files or []}
    assert reasons["six-1.1.tar.gz"] == f"released until {until} (CVE-2026-1234)"
    assert (revoked.status, change.id, left, again) == (200, released.id, [], 404)


async def test_plan_of_another_process_sees_releases(serve: Serve, site: Site, young: fakepypi.FakePyPI) -> None:
    """`mirror-syncer plan`, beside the service, keeps what a person released and says why."""
    del young
    async with serve() as service:
        await service.running.sync("six")
        await release(service)
        command = (sys.executable, "-m", "mirror_syncer", "plan", "six", "--json")
        environment = {**os.environ, **site.environment(MIRROR_FILE_HOSTS="127.0.0.1")}
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE)
        said, _ = await process.communicate()

    decided = {one["file"]: (one["decision"], one["reason"]) for one in json.loads(said)["projects"][0]["files"]}
    assert decided["six-1.1.tar.gz"][0] == "keep"
    assert "(CVE-2026-1234)" in decided["six-1.1.tar.gz"][1]


async def test_release_survives_a_restart_and_a_reload(serve: Serve, site: Site, young: fakepypi.FakePyPI) -> None:
    """A release is in force again after a restart of the syncer, and when mirror.toml is read again."""
    del young
    async with serve() as service:
        await service.running.sync("six")
        await release(service)
    async with serve() as service:
        restarted = await service.running.sync()
        kept = site.filenames("six")
        site.policy.write_text(COOLDOWN + "not_after = 2020-01-01\n")
        await service.running.sync()

    assert restarted.state is RunState.INCOMPLETE  # idna is not upstream
    assert kept == {"six-1.0.tar.gz", "six-1.1.tar.gz"}
    assert site.filenames("six") == {"six-1.1.tar.gz"}


async def test_expired_release_holds_again_and_is_forgotten(
    serve: Serve, site: Site, young: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An expired release is not listed, its version is held again, and the next change deletes it."""
    del young
    async with serve() as service:
        await service.running.sync("six")
        released = await release(service)
        catalog = service.running.mirror.catalog
        late = int(released.until.timestamp()) + 1
        monkeypatch.setattr(time, "time", lambda: float(late))
        gone = await listed(service)
        catalog.exemptions.remove("none", now=late)
        monkeypatch.undo()
        left = catalog.exemptions.live(now=0)

    assert (gone, left) == ([], [])


async def test_second_release_of_a_version_replaces_the_first(serve: Serve, young: fakepypi.FakePyPI) -> None:
    """The same call twice leaves one release, with the newest reason, person and time."""
    del young
    async with serve() as service:
        await service.running.sync("six")
        first = await release(service)
        second = await release(service, {**FIX, "because": "still needed", "for": "2d"}, by="bob")
        in_force = await listed(service)

    assert first.id != second.id
    assert [(one["id"], one["because"], one["by"]) for one in in_force] == [(second.id, "still needed", "bob")]
    assert second.warnings == ["six==1.1 needs no release: nothing holds it"]


async def test_release_that_would_publish_nothing_is_refused(
    serve: Serve, site: Site, young: fakepypi.FakePyPI
) -> None:
    """Blocks and quarantine beat a release; unknown projects and versions are named with the remedy."""
    site.policy.write_text(f'{COOLDOWN}[block]\nprojects = ["evil-*", {{ name = "six==1.1", because = "malware" }}]\n')
    young.index.project("idna").upload("1.0")
    async with serve() as service:
        await service.running.sync("six")
        refused = {what: await refusal(service, what) for what in ("six==1.1", "evil-lib==1", "django==5", "idna==1.0")}
        refused["six==9"] = await refusal(service, "six==9")
        young.index.project("six").quarantine()
        await service.running.sync("six")
        refused["quarantined"] = await refusal(service, "six==1.0")
        in_force = await listed(service)

    assert {what: status for what, (status, _) in refused.items()} == {
        "six==1.1": 409,
        "evil-lib==1": 409,
        "django==5": 422,
        "idna==1.0": 422,
        "six==9": 422,
        "quarantined": 409,
    }
    assert "malware" in refused["six==1.1"][1]
    assert "a block beats every release" in refused["evil-lib==1"][1]
    assert "give it a line in mirror.toml" in refused["django==5"][1]
    assert "run `mirrorctl sync idna` first" in refused["idna==1.0"][1]
    assert "its newest are 1.1, 1.0" in refused["six==9"][1]
    assert "quarantined" in refused["quarantined"][1]
    assert in_force == []


@pytest.mark.parametrize(
    ("requirement", "more", "word"),
    [
        ("six", {}, "exactly one version"),
        ("six>=1", {}, "exactly one version"),
        ("six==1.*", {}, "exactly one version"),
        ("six==1,==2", {}, "exactly one version"),
        ("six[extra]==1", {}, "without a URL, a marker or extras"),
        ("six @ https://example.org/six.whl", {}, "without a URL, a marker or extras"),
        ("=1", {}, "such as 'django==5.2.19'"),
        ("six==1", {"for": "91d"}, 'from "1h" to "90d"'),
        ("six==1", {"for": "ever"}, 'from "1h" to "90d"'),
        ("six==1", {"because": " "}, "must say why"),
        ("six==1", {"because": "a\nb"}, "one line"),
        ("six==1", {"by": "mallory"}, "not permitted"),
    ],
)
async def test_wrong_request_is_a_problem_that_points(
    serve: Serve, site: Site, requirement: str, more: dict[str, str], word: str
) -> None:
    """A release of more than one version, without a reason or for too long is refused and changes nothing."""
    site.select("six")
    async with serve() as service:
        status, text = await refusal(service, requirement, **more)
        in_force = await listed(service)

    assert (status, in_force) == (422, [])
    assert word in text


async def test_releases_are_bounded(serve: Serve, young: fakepypi.FakePyPI) -> None:
    """A hundred releases are in force at most."""
    del young
    now = int(time.time())
    async with serve() as service:
        await service.running.sync("six")
        for number in range(MAX_RELEASES):
            row = StoredExemption(str(number), "idna", f"=={number}", "x", "ci", now, now + 3600)  # type: ignore[arg-type]
            service.running.mirror.catalog.exemptions.add(row, now=now)
        status, text = await refusal(service, "six==1.1")
        in_force = await listed(service)

    assert (status, len(in_force)) == (409, MAX_RELEASES)
    assert "revoke some first" in text


async def test_releases_at_once_are_all_in_force(serve: Serve, young: fakepypi.FakePyPI) -> None:
    """Of several releases at the same time, none is lost."""
    versions = [f"2.{number}" for number in range(8)]
    for version in versions:
        young.index.project("six").upload(version, wheel=False, uploaded_at=datetime.now(UTC))
    async with serve() as service:
        await service.running.sync("six")
        await asyncio.gather(*(release(service, {**FIX, "requirement": f"six=={version}"}) for version in versions))
        exemptions = service.running.mirror.policy.current.exemptions
        project = Project.model_validate_json(await (await service.http.get("/projects/six")).read())

    assert {str(one.specifier) for some in exemptions.values() for one in some} == {f"=={one}" for one in versions}
    held = [file.filename for file in project.files or [] if file.decision is Choice.HOLD]
    assert held == ["six-1.1.tar.gz"]


def test_exemptions_are_kept_on_each_database(catalog: Catalog) -> None:
    """SQLite and PostgreSQL store, list, replace, remove and expire exemptions in the same way."""
    rows = [StoredExemption(str(n), "six", f"=={n}", "why", "alice", 10 + n, 100 + n) for n in range(3)]  # type: ignore[arg-type]
    for row in rows:
        catalog.exemptions.add(row, now=20)
    replaced = StoredExemption("9", rows[0].project, "==0", "again", "bob", 30, 200)
    catalog.exemptions.add(replaced, now=20)

    assert catalog.exemptions.live(now=20) == [*rows[1:], replaced]
    assert catalog.exemptions.count(now=101) == 2
    assert catalog.exemptions.remove("2", now=101) == rows[2]
    assert catalog.exemptions.remove("1", now=101) is None
    assert catalog.exemptions.live(now=0) == [replaced]
    (exemption,) = catalog.exemptions.released(now=0)[rows[0].project]
    assert (str(exemption.specifier), exemption.until, exemption.released) == ("==0", 200, True)

"""Advisories for auditors behind the firewall: OSV's API, with the real pip-audit and the real uv."""

import asyncio
import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiohttp import web

from control import live
from control.conftest import Serve
from mirror_control.api import osv
from mirror_control.settings import Settings
from mirror_syncer.config.advisories import Location
from mirror_syncer.config.advisories.feed import AdvisorySource
from mirror_syncer.service.osv_api import OsvApi
from mirror_syncer.service.osv_queries import OsvQueries
from mirror_syncer.service.problems import answer_problems, refuse_browsers
from syncer.osv import ecosystem, record, write_zip
from syncer.site import memory_below

BIN = Path(sys.executable).parent
FIXED = ecosystem(("introduced", "0"), ("fixed", "1.5"))
RECORDS = [
    record("GHSA-aaaa-bbbb-cccc", "x-y", ranges=FIXED, versions=["1.0"], aliases=["CVE-2026-1"], summary="Bad"),
    record("PYSEC-2026-1", "X_Y", ranges=FIXED, aliases=["CVE-2026-1"], details="Bad, too"),
    record("PYSEC-2026-2", "x-y", versions=["1.0"], withdrawn="2026-11-01T00:00:00Z"),
    record("MAL-2026-1", "evil", versions=["0.0.1"]),
    record("PYSEC-2026-3", "odd", versions=["0.7.10p1"]),
]


@dataclass
class Syncer:
    """The syncer's answers about advisories."""

    source: AdvisorySource
    is_enabled: bool = True


@pytest.fixture
def syncer(tmp_path: Path) -> Syncer:
    """A syncer with advisories in force."""
    directory, state = tmp_path / "config" / "advisories", tmp_path / "syncer"
    directory.mkdir(parents=True)
    state.mkdir()
    write_zip(directory / "all.zip", RECORDS)
    source = AdvisorySource(state=state)
    source.reload(Location.parse(None, beside=tmp_path / "config" / "mirror.toml"))
    return Syncer(source)


@pytest.fixture
def private_api(syncer: Syncer, background: live.Background) -> Iterator[web.AppRunner]:
    """That syncer's private API, on the loopback."""
    api = OsvApi(OsvQueries(syncer.source), is_enabled=lambda: syncer.is_enabled)
    application = web.Application(middlewares=[answer_problems, refuse_browsers], client_max_size=2**20)
    application.add_routes(api.routes)
    runner = web.AppRunner(application, shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()

    background.run(start())
    yield runner
    background.run(runner.cleanup())


@pytest.fixture
def settings(tmp_path: Path, private_api: web.AppRunner, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Control's settings, for that syncer."""
    (tmp_path / "state").mkdir()
    monkeypatch.setenv("MIRROR_CONTROL_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("MIRROR_ACCESS_LOG", str(tmp_path / "logs"))
    monkeypatch.setenv("MIRROR_SYNCER_URL", f"http://127.0.0.1:{private_api.addresses[0][1]}")
    return Settings.load()


def ask(client: httpx2.Client, name: str, version: str | None = None, **more: str) -> list[str]:
    """Return the ids of the records that a query finds."""
    query = {"package": {"name": name, "ecosystem": "PyPI", **more}} | ({} if version is None else {"version": version})
    answer = client.post("/osv/v1/query", json=query)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert "next_page_token" not in answer.json()
    return [one["id"] for one in answer.json().get("vulns", [])]


def test_query_returns_whole_records(client: httpx2.Client) -> None:
    """A query finds all records of a version at once, as their source wrote them, and no withdrawn one."""
    answer = client.post("/osv/v1/query", json={"package": {"name": "x-y", "ecosystem": "PyPI"}, "version": "1.0"})

    assert answer.json() == {"vulns": RECORDS[:2]}


def test_query_matches_versions(client: httpx2.Client) -> None:
    """Spelling and local part of a version do not matter, a fixed one is not found, none finds all."""
    both = ["GHSA-aaaa-bbbb-cccc", "PYSEC-2026-1"]

    assert ask(client, "x-y", "1.0.0+local.1") == ask(client, "X.Y", "1.4") == ask(client, "x-y") == both
    assert ask(client, "x-y", "1.5") == ask(client, "x-y", "banana") == ask(client, "unknown", "1.0") == []
    assert ask(client, "odd", "0.7.10p1") == ["PYSEC-2026-3"]
    assert ask(client, "", "", ecosystem="", purl="pkg:pypi/x-y@1.0%2Blocal") == both
    assert ask(client, "x-y", "1.0", ecosystem="npm") == []


def test_query_without_a_result_is_an_empty_object(client: httpx2.Client) -> None:
    """Nothing found is ``{}``: a page without ``vulns`` but with a token ends pip-audit with an error."""
    query = {"package": {"name": "unknown", "ecosystem": "PyPI"}, "version": "1.0"}

    assert client.post("/osv/v1/query", json=query).content == b"{}"
    assert client.post("/osv/v1/query", json={"commit": "6879efc2c1596d11a6a6ad296f80063b558d5e0f"}).content == b"{}"


def test_long_version_is_affected_by_nothing(syncer: Syncer) -> None:
    """A version that no file can have finds nothing, and leaves nothing in memory."""
    queries = OsvQueries(syncer.source)

    with memory_below(3_000_000):
        for number in range(20):
            query = {"package": {"name": "x-y", "ecosystem": "PyPI"}, "version": f"{'1.' * 50_000}{number}"}
            assert queries.query(json.dumps(query).encode()) == b"{}"


def test_batch_is_answered_in_order(client: httpx2.Client) -> None:
    """Each query of a batch has a result at its place, empty for none, with id and time of each record."""
    package = {"name": "x-y", "ecosystem": "PyPI"}
    queries = [{"package": package, "version": version} for version in ("1.5", "1.0", "2.0+cpu")]

    answer = client.post("/osv/v1/querybatch", json={"queries": queries}).json()

    found = [{"id": one["id"], "modified": one["modified"]} for one in RECORDS[:2]]
    assert answer == {"results": [{}, {"vulns": found}, {}]}
    assert client.post("/osv/v1/querybatch", json={"queries": []}).json() == {"results": []}


def test_record_is_found_by_its_id(client: httpx2.Client) -> None:
    """A record in force is returned whole; an unknown, a withdrawn and an impossible id are 404."""
    assert client.get("/osv/v1/vulns/MAL-2026-1").json() == RECORDS[3]
    for unknown in ("MAL-2026-2", "PYSEC-2026-2", "CVE-2026-1", "..%2f..%2fstatus", "a" * 200):
        answer = client.get(f"/osv/v1/vulns/{unknown}")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json"), unknown


@pytest.mark.parametrize(
    ("call", "body", "told"),
    [
        ("query", b"[]", "not a query in OSV's format"),
        ("query", b'{"version": 1}', "not a query in OSV's format"),
        ("query", b"\xff", "not a query in OSV's format"),
        ("query", b'{"package":' * 50_000, "not a query in OSV's format"),
        ("querybatch", b"{}", "not a query in OSV's format"),
        ("querybatch", json.dumps({"queries": [{}] * 1_001}).encode(), "a batch may have 1,000 queries"),
    ],
)
def test_wrong_query_is_refused(client: httpx2.Client, call: str, body: bytes, told: str) -> None:
    """A query in another format, or a batch of too many, is 400 with one sentence."""
    answer = client.post(f"/osv/v1/{call}", content=body)

    assert answer.status_code == 400
    assert told in answer.json()["detail"]


@pytest.mark.proves("security/clients")
def test_long_query_is_refused_before_it_is_read(client: httpx2.Client) -> None:
    """A body above 1 MiB is refused, although queries need no token."""
    assert client.post("/osv/v1/query", content=b" " * (2**20 + 1)).status_code == 413


@pytest.mark.proves("security/clients")
def test_only_queries_need_no_token(client: httpx2.Client) -> None:
    """No other POST passes without a token, below the same path either."""
    for path in ("/osv/v1/query/", "/osv/v1/vulns/x", "/osv/v1", "/osv//v1/query", "/api/v1/runs"):
        assert client.post(path, json={}).status_code == 401, path


def test_advisories_are_served_only_if_wanted(client: httpx2.Client, syncer: Syncer) -> None:
    """Without ``[serve] osv = true`` every call is 404 and names the key; setting it takes effect at once."""
    syncer.is_enabled = False
    for answer in (
        client.post("/osv/v1/query", json={}),
        client.post("/osv/v1/querybatch", json={"queries": []}),
        client.get("/osv/v1/vulns/MAL-2026-1"),
    ):
        assert answer.status_code == 404
        assert "[serve] osv = true in mirror.toml" in answer.json()["detail"]

    syncer.is_enabled = True
    assert client.get("/osv/v1/vulns/MAL-2026-1").status_code == 200


def test_records_without_their_text_are_outlined(client: httpx2.Client, syncer: Syncer) -> None:
    """If the full disk could not keep the records, an audit still finds what is blocked."""
    syncer.source.store.path.unlink()

    (found,) = client.post(
        "/osv/v1/query", json={"package": {"name": "evil", "ecosystem": "PyPI"}, "version": "0.0.1"}
    ).json()["vulns"]

    assert found["id"] == "MAL-2026-1"
    assert found["affected"][0]["versions"] == ["0.0.1"]


def test_large_answer_is_passed_on_in_parts(client: httpx2.Client, syncer: Syncer, tmp_path: Path) -> None:
    """An answer of many megabytes arrives whole."""
    many = [record(f"PYSEC-{number}", "big", versions=["1"], details="long " * 4_000) for number in range(300)]
    write_zip(tmp_path / "config" / "advisories" / "more.zip", many)
    syncer.source.reload(Location.parse(None, beside=tmp_path / "config" / "mirror.toml"))

    answer = client.post("/osv/v1/query", json={"package": {"name": "big", "ecosystem": "PyPI"}, "version": "1"})

    assert sorted(answer.json()["vulns"], key=lambda one: str(one["id"])) == sorted(
        many, key=lambda one: str(one["id"])
    )


def write_project(directory: Path, **packages: str) -> None:
    """Write a project and a lock of packages, for which no index is needed."""
    names = ", ".join(f'"{name}"' for name in packages)
    (directory / "pyproject.toml").write_text(
        f'[project]\nname = "app"\nversion = "1.0"\nrequires-python = ">=3.11"\ndependencies = [{names}]\n'
    )
    needs = ", ".join(f'{{ name = "{name}" }}' for name in packages)
    app = f"""
        version = 1
        revision = 3
        requires-python = ">=3.11"
        [[package]]
        name = "app"
        version = "1.0"
        source = {{ virtual = "." }}
        dependencies = [{needs}]
        [package.metadata]
        requires-dist = [{needs}]
    """
    others = [
        f"""
        [[package]]
        name = "{name}"
        version = "{version}"
        source = {{ registry = "https://pypi.org/simple" }}
        sdist = {{ url = "https://example.org/{name}-{version}.tar.gz", hash = "sha256:{"0" * 64}" }}
        """
        for name, version in packages.items()
    ]
    (directory / "uv.lock").write_text(textwrap.dedent(app) + "".join(map(textwrap.dedent, others)))


async def run(*command: str, cwd: Path) -> tuple[int, str]:
    """Return the exit code and all output of a command, without any of this machine's settings."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={"HOME": str(cwd), "PATH": "/usr/bin:/bin", "NO_PROXY": "*", "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@pytest.mark.parametrize(("version", "status"), [("1.0", 1), ("1.5", 0)])
async def test_uv_audits_through_the_mirror(client: httpx2.Client, tmp_path: Path, version: str, status: int) -> None:
    """``uv audit --service-url http://mirror/osv/`` finds what is affected, and nothing else."""
    work = tmp_path / "work"
    work.mkdir()
    write_project(work, **{"x-y": version, "harmless": "1.0"})
    arguments = ["audit", "--frozen", "--no-cache", f"--service-url={client.base_url}/osv/"]

    code, output = await run(str(BIN / "uv"), *arguments, cwd=work)

    assert code == status, output
    assert ("GHSA-aaaa-bbbb-cccc" in output) == (status == 1), output
    assert "PYSEC-2026-2" not in output


@pytest.mark.parametrize(("version", "status"), [("1.0", 1), ("1.5", 0)])
async def test_pip_audit_audits_through_the_mirror(
    client: httpx2.Client, tmp_path: Path, version: str, status: int
) -> None:
    """``pip-audit -s osv --osv-url http://mirror/osv/v1/query`` finds what is affected, and nothing else."""
    (tmp_path / "requirements.txt").write_text(f"x-y=={version}\nharmless==1.0\n")
    arguments = ["--no-deps", "--disable-pip", "-r", "requirements.txt", "-s", "osv", "--format", "json"]
    arguments += ["--progress-spinner", "off", f"--osv-url={client.base_url}/osv/v1/query"]

    code, output = await run(str(BIN / "pip-audit"), *arguments, cwd=tmp_path)

    assert code == status, output
    report: dict[str, Any] = json.loads(output[output.index("{") :])
    found = {one["name"]: {vulnerability["id"] for vulnerability in one["vulns"]} for one in report["dependencies"]}
    assert found["harmless"] == set()
    assert bool(found["x-y"]) == (status == 1)


def test_audit_without_a_syncer_fails(
    client: httpx2.Client, private_api: web.AppRunner, background: live.Background
) -> None:
    """While the syncer is away an audit gets 503 and when to retry, never an empty answer."""
    background.run(private_api.cleanup())

    answer = client.post("/osv/v1/query", json={"package": {"name": "x-y", "ecosystem": "PyPI"}})

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.proves("security/clients")
def test_too_many_audits_are_told_to_retry(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """If too many answers are under way, a call waits, and then gets 429 with the time to retry."""
    monkeypatch.setattr(osv, "MAX_ANSWERS", 0)
    monkeypatch.setattr(osv, "_PATIENCE_SECONDS", 0.05)

    with serve() as client:
        answer = client.get("/osv/v1/vulns/MAL-2026-1")

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")


def test_each_answer_makes_room_for_the_next(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer, a refusal and a HEAD each leave their place to the next call."""
    monkeypatch.setattr(osv, "MAX_ANSWERS", 1)
    monkeypatch.setattr(osv, "_PATIENCE_SECONDS", 0.5)

    with serve() as client:
        statuses = [client.get(f"/osv/v1/vulns/{one}").status_code for one in ("MAL-2026-1", "MAL-0", "MAL-2026-1")]
        statuses += [client.head("/osv/v1/vulns/MAL-2026-1").status_code for _ in range(2)]

    assert statuses == [200, 404, 200, 200, 200]

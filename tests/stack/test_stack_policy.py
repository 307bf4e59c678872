"""The worked example of docs/choose.md, with its own files, real clients and a PyPI that misbehaves."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from stack.compose import REPOSITORY, SERVICES, Stack, until
from stack.conftest import YEARLY
from stack.fake import JSON, Upstream
from stack.mirror import Mirror

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

YOUNG, MALWARE, TRUSTED = "2.33.0", "1.4.0", "1.3.0"
LINUX, WINDOWS, MACOS = "manylinux_2_17_x86_64", "win_amd64", "macosx_11_0_arm64"
PYTHONS = ("311", "312", "313")
INTERNAL = ("acme-billing", "acme-web", "billing-core")
INDEX = "--index-url=http://nginx:8080/simple/"


@dataclass(frozen=True)
class Team:
    """The stack of the example, its upstream, and its mirror.toml."""

    stack: Stack
    upstream: Upstream
    mirror: Mirror
    config: Path

    def page(self, project: str) -> dict[str, Any]:
        """Return a project's page in JSON."""
        answer = self.mirror.client.get(f"/simple/{project}/", headers={"Accept": JSON})
        page: dict[str, Any] = answer.raise_for_status().json()
        return page

    def names(self, project: str) -> list[str]:
        """Return the files that a project's page offers."""
        return [file["filename"] for file in self.page(project)["files"]]

    def held(self, project: str) -> dict[str, dict[str, Any]]:
        """Return what a project's page lists as held, by file name."""
        return {file["filename"]: file for file in self.page(project).get("_held", [])}

    def install(self, *requirements: str, client: tuple[str, ...]) -> dict[str, str]:
        """Install from the mirror alone into an empty directory; return the versions by name."""
        self.stack.execute("client", "rm", "-rf", "/tmp/team")
        self.stack.execute("client", *client, INDEX, "--target=/tmp/team", *requirements)
        installed = self.stack.execute("client", "ls", "/tmp/team").split()
        found = [one.removesuffix(".dist-info") for one in installed if one.endswith(".dist-info")]
        return {name: version for name, _, version in (one.partition("-") for one in found)}

    def fails_to_install(self, requirement: str, *, client: tuple[str, ...]) -> str:
        """Return what the client says when it cannot install a requirement."""
        return self.stack.execute("client", *client, INDEX, "--target=/tmp/team", requirement, status=1)


PIP = ("pip", "install", "--trusted-host=nginx")
UV = ("uv", "pip", "install")


def chapter() -> str:
    """Return the worked example of docs/choose.md."""
    return (REPOSITORY / "docs/choose.md").read_text().partition("\n## A worked example\n")[2].partition("\n## ")[0]


def example() -> tuple[str, dict[str, str]]:
    """Return the example's mirror.toml, and its other files by path below config/."""
    [toml] = re.findall(r"^```toml\n(.*?)^```$", chapter(), re.MULTILINE | re.DOTALL)
    files = re.findall(r"^`config/(\S+)` .*?\n\n```(?:text|json)\n(.*?)^```$", chapter(), re.MULTILINE | re.DOTALL)
    assert [path for path, _ in files] == ["locks/requirements-shop.txt", "advisories/example-telemetry.json"]
    return toml, dict(files)


def commands() -> list[list[str]]:
    """Return the example's commands, each as its words."""
    [block] = re.findall(r"^```sh\n(.*?)^```$", chapter(), re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for line in block.splitlines()]


def ago(**past: float) -> str:
    """Return a time in the past, as the upstream's control takes it."""
    return (datetime.now(UTC) - timedelta(**past)).isoformat()


def write(path: Path, text: str) -> None:
    """Write a file that the syncer may read, at once."""
    path.parent.mkdir(exist_ok=True)
    path.parent.chmod(0o755)
    other = path.with_name(f".{path.name}")
    other.write_text(text)
    other.chmod(0o644)
    other.rename(path)


def upload(upstream: Upstream) -> None:
    """Upload the example's projects, in addition to those that the upstream has anyway."""
    requires = [*("charset-normalizer<4,>=2", "idna<4,>=2.5", "urllib3<3,>=1.21.1", "certifi>=2017.4.17")]
    upstream.upload("requests", YOUNG, requires_dist=requires, uploaded_at=ago(days=2))
    tags = [f"cp{python}-cp{python}-{platform}" for python in PYTHONS for platform in (LINUX, WINDOWS, MACOS)]
    upstream.upload("numpy", "2.3.0", tags=tags, requires_python=">=3.11", uploaded_at=ago(days=60))
    for version, days in (("1.2.0", 400), (TRUSTED, 90), (MALWARE, 30)):
        upstream.upload("example-telemetry", version, uploaded_at=ago(days=days))
    for name in INTERNAL:
        upstream.upload(name, "99.0", uploaded_at=ago(days=300))


@pytest.fixture(scope="module")
def team(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """Return the example's mirror after its first sync."""
    config = tmp_path_factory.mktemp("team") / "config"
    toml, files = example()
    for path, text in {"mirror.toml": toml, **files}.items():
        write(config / path, text)
    settings = {"MIRROR_UPSTREAM": "http://fakepypi:8000", "MIRROR_CONFIG": str(config), "MIRROR_SCHEDULE": YEARLY}
    stack = Stack(settings={**settings, "MIRROR_DISK_RESERVE": "0%"})
    connect = partial(httpx2.Client, trust_env=False, timeout=10)
    try:
        stack.up("fakepypi")
        with connect(base_url=stack.url("fakepypi", 8000)) as fake:
            upload(Upstream(fake))
            stack.up(*SERVICES, "client")
            token = stack.execute("control", "mirrorctl", "token")
            with connect(base_url=stack.url("nginx", 8080)) as client:
                mirror = Mirror(client, token)
                until(mirror.idle, seconds=60)
                yield Team(stack, Upstream(fake), mirror, config)
    finally:
        stack.down()


def test_policy_example_is_valid_and_syncs_completely(team: Team) -> None:
    """The example's mirror.toml has no mistake, and its first sync succeeds."""
    said = team.stack.execute("syncer", "mirror-syncer", "check")
    assert said.startswith("valid: scope selected, 7 projects")
    [run] = team.mirror.client.get("/api/v1/runs").raise_for_status().json()["items"]
    assert (run["state"], run["failures"]) == ("succeeded", [])


@pytest.mark.proves("reliability/cooldown")
@pytest.mark.parametrize("client", [PIP, UV], ids=["pip", "uv"])
def test_policy_older_release_installs_instead_of_a_young_one(team: Team, client: tuple[str, ...]) -> None:
    """pip and uv install the newest release that is a week old, with its dependencies."""
    installed = team.install("requests", client=client)
    assert installed["requests"] == "2.32.3"
    assert {"certifi", "charset_normalizer", "idna", "urllib3"} < set(installed)


@pytest.mark.proves("reliability/cooldown")
@pytest.mark.parametrize("client", [PIP, UV], ids=["pip", "uv"])
def test_policy_young_release_is_held_with_reason_and_date(team: Team, client: tuple[str, ...]) -> None:
    """
    A release younger than a week is in `_held`, does not install, and its URLs answer 403 with reason and date.

    Its sdist is not: no machine needs it beside the wheel, so it would not come later either.
    """
    assert f"requests=={YOUNG}" in team.fails_to_install(f"requests=={YOUNG}", client=client)
    assert not [name for name in team.names("requests") if YOUNG in name]
    held = team.held("requests")
    assert set(held) == {f"requests-{YOUNG}-py3-none-any.whl"}
    for file in held.values():
        until_date = datetime.fromisoformat(file["until"])
        assert timedelta(days=4) < until_date - datetime.now(UTC) < timedelta(days=6)
        digest = next(one for one in upstream_urls(team, "requests") if one.endswith(file["filename"]))
        for url in (f"/{file['place']}", digest, f"/{file['place']}.metadata"):
            answer = team.mirror.client.get(url)
            assert (answer.status_code, answer.headers["content-type"]) == (403, "text/plain; charset=utf-8"), url
            assert "this mirror waits 7 days" in answer.text
            assert f"{until_date:%Y-%m-%d}" in answer.text


def upstream_urls(team: Team, project: str) -> list[str]:
    """Return the paths of a project's files on upstream, which lock files may contain."""
    page = team.upstream.client.get(f"/simple/{project}/", headers={"Accept": JSON}).json()
    return [httpx2.URL(file["url"]).path for file in page["files"]]


@pytest.mark.proves("reliability/blocks")
@pytest.mark.parametrize("name", INTERNAL)
def test_policy_internal_names_answer_404_and_never_reach_upstream(team: Team, name: str) -> None:
    """An internal name's page answers 404 with the reason, and no request for it reaches upstream."""
    answer = team.mirror.client.get(f"/simple/{name}/")
    assert answer.status_code == 404
    assert ("index.acme.example" if name.startswith("acme-") else "nobody may use the old name") in answer.text
    assert team.upstream.requested(f"/{name}/") == 0
    team.mirror.sync()
    asked = [exchange["path"] for exchange in team.upstream.do("requests")["requests"]]
    assert asked
    assert not [path for path in asked if name in path]


def test_policy_blocked_pin_of_a_lock_is_reported(team: Team) -> None:
    """The status says that the lock pins an internal name, with file and line."""
    warnings = team.mirror.client.get("/api/v1/status").json()["policy"]["warnings"]
    assert any("requirements-shop.txt, line 2" in text and "acme-billing is blocked" in text for text in warnings)


@pytest.mark.proves("reliability/blocks")
def test_policy_malware_is_not_on_the_page_and_its_file_answers_403(team: Team) -> None:
    """The release that the record names is not on the page; its files answer 403 with the record's id."""
    assert [name for name in team.names("example-telemetry") if TRUSTED in name]
    refused(team, MALWARE, record="MAL-2026-9001")
    assert team.install("example-telemetry", client=UV) == {"example_telemetry": TRUSTED}


def refused(team: Team, version: str, *, record: str) -> None:
    """Assert that no URL gives a file of a blocked version of example-telemetry."""
    assert not [name for name in team.names("example-telemetry") if version in name]
    urls = [url for url in upstream_urls(team, "example-telemetry") if version in url]
    assert len(urls) == 2
    for url in urls:
        answer = team.mirror.client.get(url)
        assert answer.status_code == 403, url
        assert record in answer.text


@pytest.mark.proves("reliability/blocks")
def test_policy_published_malware_leaves_without_a_restart(team: Team) -> None:
    """A record that comes after its release was published takes it off the mirror in a run that raises an alarm."""
    late = "1.2.0"
    before = [url for url in team.mirror.files("example-telemetry").values() if late in url]
    assert len(before) == 1
    assert {team.mirror.client.get(url).status_code for url in before} == {200}
    record = json.loads(example()[1]["advisories/example-telemetry.json"])
    record["id"], record["affected"][0]["versions"] = "MAL-2026-9002", [late]
    write(team.config / "advisories/late.json", json.dumps(record))
    # Incomplete because of the malware, unless the syncer has noticed the record itself and applied it already.
    team.stack.execute("control", "sh", "-c", "mirrorctl sync --follow || test $? = 3")
    runs = team.stack.execute("control", "mirrorctl", "runs", "--json")
    assert "MAL-2026-9002" in runs
    refused(team, late, record="MAL-2026-9002")
    for url in before:
        answer = team.mirror.client.get(url)
        assert (answer.status_code, "MAL-2026-9002" in answer.text) == (403, True)


@pytest.mark.proves("reliability/removal")
def test_policy_lock_keeps_what_latest_pushed_out(team: Team) -> None:
    """idna 3.4 is on the page because a lock pins it, and 2.10, which nobody pins, is not."""
    assert {name.split("-")[1] for name in team.names("idna") if name.endswith(".whl")} == {"3.10", "3.7", "3.4"}
    lock = (team.config / "locks/requirements-shop.txt").read_text().splitlines()[0]
    assert team.install(lock, client=PIP) == {"idna": "3.4"}


def test_policy_machines_get_their_wheels_and_no_other(team: Team) -> None:
    """numpy has a wheel for each Python on Linux and Windows, and neither a macOS wheel nor an sdist."""
    tags = {f"cp{python}-cp{python}-{platform}" for python in PYTHONS for platform in (LINUX, WINDOWS)}
    assert set(team.names("numpy")) == {f"numpy-2.3.0-{tag}.whl" for tag in tags}


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("platform", ["x86_64-unknown-linux-gnu", "x86_64-pc-windows-msvc"])
def test_policy_both_platforms_install(team: Team, python: str, platform: str) -> None:
    """uv installs numpy's wheel for each Python of the team, for Linux and for Windows."""
    there = (*UV, "--only-binary=:all:", f"--python-version={python}", f"--python-platform={platform}")
    assert team.install("numpy", client=there) == {"numpy": "2.3.0"}


@pytest.mark.proves("reliability/cooldown")
def test_policy_matures_without_asking_upstream_for_a_page(team: Team) -> None:
    """A file is on the page within 60 seconds after it is a week old; upstream gets a request for its bytes alone."""
    maturing, version = datetime.now(UTC) + timedelta(seconds=20), "2025.6.15"
    team.upstream.upload("certifi", version, sdist=False, uploaded_at=(maturing - timedelta(days=7)).isoformat())
    team.mirror.sync("certifi")
    name = f"certifi-{version}-py3-none-any.whl"
    assert name in team.held("certifi")
    team.upstream.do("forget")
    until(lambda: name in team.names("certifi"), seconds=(maturing - datetime.now(UTC)).total_seconds() + 60)
    assert datetime.now(UTC) >= maturing
    asked = [exchange["path"] for exchange in team.upstream.do("requests")["requests"]]
    assert [path for path in asked if not path.endswith((name, f"{name}.metadata"))] == []
    assert team.mirror.missing(["certifi"]) == []


@pytest.mark.proves("reliability/cooldown")
def test_policy_released_version_installs(team: Team) -> None:
    """After the example's commands the young release installs; revoked, it waits again. The audit names both calls."""
    list_held, release = commands()
    wheel = f"requests-{YOUNG}-py3-none-any.whl"
    shown = json.loads(team.stack.execute("control", *list_held, "--json"))["items"]
    assert {file["filename"]: file["decision"] for file in shown}[wheel] == "hold"
    team.stack.execute("control", *release)
    try:
        for client in (PIP, UV):
            assert team.install("requests", client=client)["requests"] == YOUNG
    finally:
        [given] = json.loads(team.stack.execute("control", "mirrorctl", "release", "--list", "--json"))["items"]
        team.stack.execute("control", "mirrorctl", "release", "--revoke", given["id"], "--follow")
    assert given["because"] == release[release.index("--because") + 1]
    assert wheel in team.held("requests")
    # Compose may put a terminal's code before the first line.
    lines = [json.loads(line[line.index("{") :]) for line in team.stack.logs("control") if '"audit"' in line]
    assert [line for line in lines if given["because"] in (line["release"] or "")]
    assert [line for line in lines if line["call"].endswith(f"/releases/{given['id']}")]

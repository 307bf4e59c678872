"""The fake PyPI in a container, driven through its control endpoint: the basis of the stack's tests."""

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.docker

TESTS = Path(__file__).parents[1]


def docker(*arguments: str | Path) -> str:
    """Run docker, and return its output."""
    done = subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A healthy container with the ecosystem and ten fillers."""
    image = docker("build", "--quiet", "--file", TESTS / "fakepypi" / "Dockerfile", TESTS)
    hardened = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    container = docker("run", "--detach", "--rm", "--publish", "127.0.0.1::8000", *hardened, image, "--filler", "10")
    try:
        deadline = time.monotonic() + 60
        while docker("inspect", "--format", "{{.State.Health.Status}}", container) != "healthy":
            assert time.monotonic() < deadline, docker("logs", container)
            time.sleep(0.2)
        yield f"http://{docker('port', container, '8000')}"
    finally:
        docker("stop", "-t", "5", container)


@pytest.fixture
def control(url: str) -> Callable[..., Any]:
    """Call the control endpoint: ``control(verb="upload", project="foo", version="1.0")``."""

    def call(**arguments: object) -> Any:
        with urllib.request.urlopen(f"{url}/_control", data=json.dumps(arguments).encode()) as response:
            return json.load(response)

    call(verb="forget")
    return call


def status(url: str) -> int:
    """Request a URL, and return the answer's status."""
    try:
        with urllib.request.urlopen(url) as response:
            code: int = response.status
            return code
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_container_serves_its_corpus(url: str) -> None:
    """The container serves the ecosystem, the fillers, and files at the requested address."""
    with urllib.request.urlopen(f"{url}/simple/") as response:
        root = response.read().decode()
    with urllib.request.urlopen(f"{url}/simple/requests/") as response:
        page = response.read().decode()
    for name in ("requests", "zope.interface", "filler-00000", "filler-00009"):
        assert f">{name}</a>" in root
    assert page.count(f'<a href="{url}/packages/') == 8


def test_control_verbs_upload_fault_and_log(url: str, control: Callable[..., Any]) -> None:
    """A test outside uploads, adds and clears faults, and reads the request log."""
    before = control(verb="fill", count=0)["serial"]
    assert (
        control(verb="upload", project="New", version="1.0", uploaded_at="2026-01-02T03:04:05+00:00")["serial"] > before
    )
    control(verb="fault", on="page", project="new", do={"status": {"code": 503, "retry_after": 1}}, times=1)
    assert [status(f"{url}/simple/new/") for _ in range(2)] == [503, 200]
    control(verb="fault", on="root", do={"without": ["ETag"], "delay": {"seconds": 0}})
    control(verb="delete", project="new")
    assert status(f"{url}/simple/new/") == 404
    control(verb="clear")
    log = control(verb="requests")["requests"]
    assert [(exchange["path"], exchange["status"]) for exchange in log] == [
        ("/simple/new/", 503),
        ("/simple/new/", 200),
        ("/simple/new/", 404),
    ]


def test_unknown_control_verb_is_refused(control: Callable[..., Any]) -> None:
    """An unknown verb, fault or path gets a 400 that names it."""
    for arguments in (
        {"verb": "explode"},
        {"verb": "fault", "on": "root", "do": {"explode": {}}},
        {"verb": "fault", "on": "explode", "do": {}},
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            control(**arguments)
        with refused.value as answer:
            assert answer.code == 400
            assert "explode" in json.load(answer)["error"]

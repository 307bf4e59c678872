"""Control behind nginx: present, absent, at a new address, and with an open stream when nginx stops."""

import statistics
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2
import pytest

from nginx.containers import HARDENED, LOGS, Container, connect, docker, mirror, started
from nginx.tree import Tree

pytestmark = pytest.mark.docker

HERE = Path(__file__).parent

# A reload would give nginx new workers.
WORKERS = "grep -l '[w]orker process' /proc/[0-9]*/cmdline"


def control(image: str, network: str, name: str) -> AbstractContextManager[Container]:
    """Start a stand-in for control on the network."""
    return started(
        image,
        *HARDENED,
        f"--network={network}",
        "--network-alias=control",
        f"--hostname={name}",
        f"--volume={HERE}:/fake:ro",
        "--entrypoint=nginx",
        command=("-e", "stderr", "-c", "/fake/control.conf"),
    )


def wait_for(client: httpx2.Client, name: str, *, in_a_row: int = 1) -> None:
    """Wait for consecutive answers of the named control; fail after 60 s."""
    deadline = time.monotonic() + 60
    answers = 0
    while time.monotonic() < deadline:
        answer = client.get("/api/v1/status")
        answers = answers + 1 if answer.text.startswith(f"{name} ") else 0
        if answers == in_a_row:
            return
        time.sleep(0.02)
    raise AssertionError(f"control {name!r} does not answer; the last answer was {answer.text!r}")


def assert_prompt(seconds: list[float]) -> None:
    """Assert an answer within 50 ms; a busy machine may delay one answer, but that must not hide a timeout."""
    assert (statistics.median(seconds) < 0.05, max(seconds) < 0.25) == (True, True), seconds


@pytest.fixture
def present(image: str, network: str, client: httpx2.Client) -> Iterator[Container]:
    """Return a control that nginx has found."""
    with control(image, network, "one") as container:
        wait_for(client, "one")
        yield container


def seconds_for_502(client: httpx2.Client) -> float:
    """Request control, expect the error text, and return the duration."""
    begin = time.perf_counter()
    answer = client.get("/api/v1/status")
    elapsed = time.perf_counter() - begin
    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/plain")
    assert answer.text == "502: the control service does not answer; packages are still served\n"
    return elapsed


def test_absent_control_is_502_at_once(client: httpx2.Client) -> None:
    """Without control, nginx starts, serves files, and answers 502 within 50 ms."""
    assert_prompt([seconds_for_502(client) for _ in range(9)])
    assert client.get("/simple/").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/status?a=%2B+b"),
        ("POST", "/api/v1/runs"),
        ("GET", "/ui/"),
        ("GET", "/ui/runs/x%2Fy"),
        ("POST", "/osv/v1/query"),
        ("GET", "/osv/v1/vulns/MAL-2026-1"),
    ],
)
def test_api_and_page_reach_control(client: httpx2.Client, present: Container, method: str, path: str) -> None:
    """Requests to API, page and advisories reach control unchanged."""
    answer = client.request(method, path)
    assert (answer.status_code, answer.text) == (200, f"one {method} {path}")


def test_other_paths_of_control_are_not_public(client: httpx2.Client, present: Container) -> None:
    """nginx does not expose control's metrics and other paths."""
    for path in ("/metrics", "/readyz", "/api/../metrics", "/apix", "/openapi.json"):
        assert not client.get(path).text.startswith("one "), path


def test_browser_without_control_gets_help(client: httpx2.Client) -> None:
    """Without control, a browser sees what failed, what still works, and what to do."""
    answer = client.get("/", headers={"Accept": "text/html"}, follow_redirects=True)
    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/plain")
    for told in (
        "control service does not answer",
        "Packages are still served",
        "/simple/",
        "docker compose logs control",
    ):
        assert told in answer.text


def test_control_gets_the_requested_address(client: httpx2.Client, present: Container) -> None:
    """Control gets scheme, host and port of the browser's request."""
    asked = {"Host": "mirror.example:8080"}
    assert client.get("/ui/forwarded", headers=asked).text == "mirror.example mirror.example:8080 http -"
    behind = asked | {"X-Forwarded-Proto": "https"}
    assert client.get("/ui/forwarded", headers=behind).text == "mirror.example mirror.example:8080 https -"
    outside = {"X-Forwarded-Host": "outer.example, inner.example:81", "X-Forwarded-Prefix": "/pypi-proxy/"}
    assert client.get("/ui/forwarded", headers=behind | outside).text == (
        "mirror.example outer.example https /pypi-proxy-"
    )
    lying = asked | {"X-Forwarded-Proto": "javascript", "X-Forwarded-Prefix": "//evil.example"}
    assert client.get("/ui/forwarded", headers=lying).text == "mirror.example mirror.example:8080 http -"


def test_ui_without_slash_redirects(client: httpx2.Client) -> None:
    """``/ui`` redirects to the page."""
    assert client.get("/ui").headers["Location"] == "ui/"


def test_problem_of_control_passes_unchanged(client: httpx2.Client, present: Container) -> None:
    """Control's errors pass as problem+json (RFC 9457)."""
    answer = client.get("/api/v1/problem")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


def test_control_at_a_new_address_is_found(image: str, network: str, client: httpx2.Client, nginx: Container) -> None:
    """nginx finds a control with a new address without a reload or restart."""
    processes = nginx.inspect("{{.State.Pid}} {{.State.StartedAt}}"), nginx.run("sh", "-c", WORKERS)
    # The second starts before the first is gone, so it cannot get the same address.
    with control(image, network, "two"):
        with control(image, network, "one"):
            wait_for(client, "one")
        wait_for(client, "two", in_a_row=50)
    assert (nginx.inspect("{{.State.Pid}} {{.State.StartedAt}}"), nginx.run("sh", "-c", WORKERS)) == processes


def test_killed_control_is_502_at_once(client: httpx2.Client, present: Container) -> None:
    """A control that just died is a fast 502, although its cached address is silent."""
    docker("kill", present.id)
    assert_prompt([seconds_for_502(client) for _ in range(9)])


def test_open_stream_does_not_delay_a_stop(image: str, tree: Tree, network: str) -> None:
    """Events pass at once, and with an open stream nginx still exits with 0 soon."""
    options = (LOGS, f"--network={network}", "--dns=127.0.0.1")
    with (
        control(image, network, "one"),
        mirror(image, tree.root, *options) as container,
        connect(container) as client,
    ):
        wait_for(client, "one")
        with client.stream("GET", "/api/v1/runs/1/events") as answer:
            events = answer.iter_lines()
            begin = time.monotonic()
            # The first comes with the headers in any case; held back would be those after it, sent 0.2 s apart.
            assert [next(events) for _ in range(9)] == [line for n in range(3) for line in (f"id: {n}", "data: {}", "")]
            assert time.monotonic() - begin < 20  # on busy cores
            begin = time.monotonic()
            docker("stop", "--time=60", container.id)
            elapsed = time.monotonic() - begin
        assert (container.inspect("{{.State.ExitCode}}"), elapsed < 30) == ("0", True), elapsed

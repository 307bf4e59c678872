"""The tally: what each line of the access log counts as."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.log_lines import PIP, WHEEL, line
from mirror_control.downloads.client import parse_client
from mirror_control.downloads.tally import Tally

DAY = "2026-11-22"


def tally(*lines: bytes) -> Tally:
    """Count lines of a log."""
    return Tally.of(b"".join(lines).splitlines())


@pytest.mark.parametrize(
    ("told", "counts"),
    [
        ({}, True),
        ({"uri": f"/pypi/web{WHEEL}?x=/1"}, True),
        ({"uri": f"/packages/ab/cd/{'e' * 60}/requests-2.32.3-py3-none-any.whl"}, True),
        ({"uri": "/packages/ab/%72equests-2.32.3-py3-none-any.whl"}, True),
        ({"status": "206", "range": "bytes=0-1023"}, True),
        ({"status": "206", "range": "bytes=1024-"}, False),
        ({"status": "206", "range": "bytes=-1024"}, False),
        ({"status": "304"}, False),
        ({"status": "499"}, False),
        ({"method": "HEAD"}, False),
        ({"uri": f"{WHEEL}.metadata"}, False),
        ({"uri": "/simple/requests/", "route": "page"}, False),
        ({"uri": "/centos/requests-2.32.3.tar.gz", "route": "other"}, False),
    ],
)
def test_download_starts_at_the_first_byte(told: dict[str, str], counts: bool) -> None:  # noqa: FBT001
    """A GET with 200, or 206 from the first byte, is one download; everything else is none."""
    expected = {(DAY, "requests", "2.32.3", "wheel", "pip", "25.1"): 1} if counts else {}

    assert tally(line(**told)).downloads == expected


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize("name", ["README.html", "%28%28%29.tar.gz", "foo.msix", "%F0%9F%90%8D.whl"])
def test_file_without_project_counts_in_the_total(name: str) -> None:
    """A file whose name has no project is a download without a project."""
    counted = tally(line(uri=f"/packages/ab/{name}"))

    assert counted.downloads == {(DAY, "", "", "other", "pip", "25.1"): 1}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"uri": "/packages/ab/Foo%20Bar-0.1%20(1).tar.gz"}, ("foo-bar", "file")),
        ({"uri": "/packages/ab/README.html"}, None),
        ({"uri": "/simple/internal-lib/", "route": "page"}, ("internal-lib", "page")),
        ({"uri": "/pypi/web/simple/Internal_Lib?format=json", "route": "page"}, ("internal-lib", "page")),
        ({"uri": "/packages/ab/internal_lib-1.0.tar.gz"}, ("internal-lib", "file")),
        ({"uri": "/packages/ab/internal_lib-1.0.tar.gz.metadata"}, None),
        ({"uri": "/simple/..%2f..%2fetc%2fpasswd/", "route": "page"}, None),
        ({"uri": "/simple/<script>/", "route": "page"}, None),
        ({"uri": f"/simple/{'a' * 215}/", "route": "page"}, None),
        ({"uri": "/simple/%E2%84%AAelvin/", "route": "page"}, None),
        ({"uri": "/simple/", "route": "page"}, None),
        ({"uri": "/wp-login.php", "route": "other"}, None),
        ({"uri": "/simple/x/", "route": "page", "method": "HEAD"}, None),
    ],
)
def test_404_counts_for_its_project(told: dict[str, str], expected: tuple[str, str] | None) -> None:
    """A 404 counts for the normalized name; an invalid name does not count."""
    assert tally(line(**told | {"status": "404"})).misses == ({(DAY, *expected): 1} if expected else {})


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (PIP, ("pip", "25.1")),
        ('uv/0.9.2 {"installer":{"name":"uv"}}', ("uv", "0.9.2")),
        ("poetry/2.5.1 CPython/3.13.5 Linux/6.1", ("poetry", "2.5.1")),
        ("pdm/2.29.0 unearth/0.18", ("pdm", "2.29.0")),
        ("bandersnatch/8.2.0 (CPython 3.13.5, aiohttp 3.14)", ("bandersnatch", "8.2.0")),
        ("Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0", ("browser", "")),
        ("devpi-server/6.20.3 (py3.13.5; linux)", ("devpi", "6.20.3")),
        ("Nexus/3.70.1-02 (OSS; Linux; 6.1)", ("nexus", "3.70.1-02")),
        ("Artifactory/7.90.1 79001900", ("artifactory", "7.90.1")),
        ("pulpcore/3.55.2 (cpython 3.11.7-final0, Linux x86_64)", ("pulp", "3.55.2")),
        ("pypi-mirror/0.1.0 (+ops@example.org)", ("pypi-mirror", "0.1.0")),
        ("curl/8.14.1", ("other", "")),
        ("pipx/1.7", ("other", "")),
        ("pip", ("pip", "")),
        ("pip/<script>alert(1)</script>", ("pip", "")),
        (f"pip/1{'0' * 8000}", ("pip", "")),
        ("pip/\x1b[2J", ("pip", "")),
        ("", ("other", "")),
    ],
)
def test_client_is_parsed_from_user_agent(agent: str, expected: tuple[str, str]) -> None:
    """Known installers are identified with a plausible version; nothing else of the user agent is stored."""
    assert parse_client(agent) == expected


@pytest.mark.parametrize("last", ["torch-2.9.0+cpu-cp312-none-any.whl", "torch-2.9.0%2Bcpu-cp312-none-any.whl"])
def test_escaped_url_counts_for_the_same_release(last: str) -> None:
    """A URL that escapes more characters than PyPI's counts for the same release."""
    assert tally(line(uri=f"/packages/ab/{last}")).downloads == {(DAY, "torch", "2.9.0+cpu", "wheel", "pip", "25.1"): 1}


@pytest.mark.parametrize(
    ("python", "expected"), [("3.13", "3.13"), ("2.7", "2.7"), ("", ""), ("9.1", ""), ("3.13.5", ""), ("<b>", "")]
)
def test_download_counts_for_its_python(python: str, expected: str) -> None:
    """A download counts for the Python that nginx logged, if it is one; old lines have none."""
    assert tally(line(python=python)).pythons == {(DAY, expected): 1}


def test_line_of_an_earlier_nginx_counts() -> None:
    """A line without the Python, of an nginx that is not upgraded yet, counts."""
    assert tally(line().replace(b',"python":"3.13"', b"")).pythons == {(DAY, ""): 1}


def test_agent_with_invalid_utf8_counts(tmp_path: object) -> None:
    """A line with invalid UTF-8 counts as a download."""
    counted = tally(line(agent="pip/25.1 @").replace(b"@", b"\xff\xfe"))

    assert counted.downloads.total() == 1
    assert counted.metrics.unreadable == 0


@pytest.mark.parametrize(
    "broken",
    [
        b"\n",
        b"null\n",
        b"[]\n",
        b"{}\n",
        b"\xff\n",
        b"[" * 100_000 + b"\n",
        line()[:-20] + b"\n",
        line(status=200),
        line(bytes="many"),
        line(seconds=-1),
        line(time="yesterday"),
        line(agent=None),
    ],
)
def test_unreadable_line_is_counted(broken: bytes) -> None:
    """An unreadable line counts as such, and its neighbours count as usual."""
    counted = tally(line(), broken, line())

    assert counted.metrics.unreadable == 1
    assert counted.downloads.total() == 2


@given(st.binary())
def test_any_line_is_counted(content: bytes) -> None:
    """Law: any line counts, as a request or as unreadable."""
    lines = content.splitlines()

    assert Tally.of(lines).metrics.unreadable == len(lines)


@given(uri=st.text(), agent=st.text(), part=st.text(), status=st.sampled_from(["200", "206", "404", "000", ""]))
def test_any_request_is_counted(uri: str, agent: str, part: str, status: str) -> None:
    """Law: any request of a client counts, and the stored part is limited."""
    for route in ("package", "page", "new"):
        told = {"uri": f"/packages/ab/{uri}", "agent": agent, "range": part, "status": status, "route": route}
        counted = tally(line(**told))
        assert sum(counted.metrics.requests.values()) == 1
        assert all(len(text) <= 255 for key in (*counted.downloads, *counted.misses) for text in key)

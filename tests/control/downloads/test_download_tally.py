"""What a line of the access log counts as."""

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
def test_a_download_is_a_file_from_its_first_byte(told: dict[str, str], counts: bool) -> None:  # noqa: FBT001
    """A GET of a package's file with 200, or 206 from its begin, is one download; all else is none."""
    expected = {(DAY, "requests", "2.32.3", "wheel", "pip", "25.1"): 1} if counts else {}

    assert tally(line(**told)).downloads == expected


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize("name", ["README.html", "%28%28%29.tar.gz", "foo.msix", "%F0%9F%90%8D.whl"])
def test_a_file_that_tells_no_project_counts_as_other(name: str) -> None:
    """A file whose name tells no project is a download all the same: in the sum, and under no project."""
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
def test_a_miss_is_a_project_s(told: dict[str, str], expected: tuple[str, str] | None) -> None:
    """A 404 counts under the normalized name that was asked for; what can be no project's counts under none."""
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
        ("curl/8.14.1", ("other", "")),
        ("pipx/1.7", ("other", "")),
        ("pip", ("pip", "")),
        ("pip/<script>alert(1)</script>", ("pip", "")),
        (f"pip/1{'0' * 8000}", ("pip", "")),
        ("pip/\x1b[2J", ("pip", "")),
        ("", ("other", "")),
    ],
)
def test_clients_are_told_by_their_agent(agent: str, expected: tuple[str, str]) -> None:
    """The installers that we know are named, with a version that looks like one; nothing else that is sent is kept."""
    assert parse_client(agent) == expected


@pytest.mark.parametrize("last", ["torch-2.9.0+cpu-cp312-none-any.whl", "torch-2.9.0%2Bcpu-cp312-none-any.whl"])
def test_either_spelling_of_a_url_counts_alike(last: str) -> None:
    """A URL that escapes what PyPI leaves as it is, as pages had it once, counts for the same release."""
    assert tally(line(uri=f"/packages/ab/{last}")).downloads == {(DAY, "torch", "2.9.0+cpu", "wheel", "pip", "25.1"): 1}


def test_an_agent_that_is_no_text_keeps_no_download(tmp_path: object) -> None:
    """A line with bytes that are no UTF-8, which nginx passes on, is a download like any other."""
    counted = tally(line(agent="pip/25.1 @").replace(b"@", b"\xff\xfe"))

    assert counted.downloads.total() == 1
    assert counted.served.unreadable == 0


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
def test_what_is_no_line_of_nginx_s_is_counted_as_that(broken: bytes) -> None:
    """A line that can't be read is one unreadable line, and those around it count."""
    counted = tally(line(), broken, line())

    assert counted.served.unreadable == 1
    assert counted.downloads.total() == 2


@given(st.binary())
def test_no_line_does_harm(content: bytes) -> None:
    """Law: whatever lies in a file, it is counted, as requests or as unreadable lines."""
    lines = content.splitlines()

    assert Tally.of(lines).served.unreadable == len(lines)


@given(uri=st.text(), agent=st.text(), part=st.text(), status=st.sampled_from(["200", "206", "404", "000", ""]))
def test_no_request_does_harm(uri: str, agent: str, part: str, status: str) -> None:
    """Law: whatever a client sends, its request is counted, and what is kept of it is bounded."""
    for route in ("package", "page", "new"):
        told = {"uri": f"/packages/ab/{uri}", "agent": agent, "range": part, "status": status, "route": route}
        counted = tally(line(**told))
        assert sum(counted.served.requests.values()) == 1
        assert all(len(text) <= 255 for key in (*counted.downloads, *counted.misses) for text in key)

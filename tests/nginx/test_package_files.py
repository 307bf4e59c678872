"""Package files: by short and long URL, with any name, whole and in ranges."""

import re
import time
from http.client import HTTPConnection
from urllib.parse import quote

import httpx2
import pytest

from nginx.containers import Container, await_absence
from nginx.tree import DIGEST, ODD_NAMES, OTHER_DIGEST, Tree, long_path

pytestmark = pytest.mark.docker
THROUGH_AN_EDGE = True
FROM_A_BUCKET = True

PREFIXES = ("", "/pypi/web")
SDIST = "foo_bar-1.0.tar.gz"
CONTENT = f"content of {SDIST}\n".encode()


@pytest.mark.proves("reliability/removal")
@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    ("path", "cached"),
    [(f"ab/{SDIST}", "max-age=365000000, immutable"), (long_path(DIGEST, SDIST), "max-age=600")],
    ids=["short", "long"],
)
def test_file_is_served_by_either_path(client: httpx2.Client, prefix: str, path: str, cached: str) -> None:
    """Both roots and both paths serve a file's bytes; a URL found by two digits is not immutable."""
    url = f"{prefix}/packages/{path}"
    answer = client.get(url, headers={"Accept-Encoding": "gzip"})
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Cache-Control"] == f"{cached}, public"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert not {"Content-Encoding", "Content-Disposition", "Vary"} & set(answer.headers)
    head = client.head(url)
    assert (head.content, head.headers["Content-Length"]) == (b"", str(len(CONTENT)))
    assert client.get(url, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


@pytest.mark.parametrize("path", ["ab/{}.metadata", long_path(DIGEST, "{}.metadata")])
def test_metadata_is_served_beside_the_file(client: httpx2.Client, path: str) -> None:
    """A file's core metadata is served beside it (PEP 658), by either path."""
    assert client.get(f"/packages/{path.format(SDIST)}").text == "Metadata-Version: 2.4\n"


def test_reused_short_path_keeps_its_bytes(client: httpx2.Client) -> None:
    """New content under a used short path is served only at PyPI's long path; each URL keeps its bytes."""
    answer = client.get(f"/packages/{long_path(OTHER_DIGEST, SDIST)}")
    assert answer.content == b"other content, same short name\n"
    assert answer.headers["Cache-Control"] == "max-age=365000000, immutable, public"
    assert client.get(f"/packages/{long_path(OTHER_DIGEST, SDIST)}.metadata").status_code == 404
    assert client.get(f"/packages/{long_path(DIGEST, SDIST)}").content == CONTENT


@pytest.mark.parametrize("name", ODD_NAMES)
def test_unusual_file_name_is_found(nginx: Container, name: str) -> None:
    """A name with blanks, signs or non-ASCII letters is found with any escaping, by both paths."""
    connection = HTTPConnection(*nginx.address, timeout=5)
    everything = "".join(f"%{byte:02x}" for byte in name.encode())
    for escaped in (quote(name), quote(name, safe="+&=;'$!*(),:@"), everything):
        for directory in ("ab/", long_path(DIGEST, "")):
            connection.request("GET", f"/packages/{directory}{escaped}")
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, f"content of {name}\n".encode())
    connection.close()


def test_tar_is_not_answered_with_tar_gz(client: httpx2.Client) -> None:
    """``foo.tar`` is never answered with ``foo.tar.gz``, whatever encodings the client accepts."""
    answer = client.get("/packages/ab/foo.tar", headers={"Accept-Encoding": "gzip"})
    assert answer.content == b"not compressed\n"


@pytest.mark.parametrize(
    ("requested", "content", "described"),
    [
        ("bytes=8-", CONTENT[8:], f"bytes 8-{len(CONTENT) - 1}/{len(CONTENT)}"),
        ("bytes=0-0", CONTENT[:1], f"bytes 0-0/{len(CONTENT)}"),
        ("bytes=-5", CONTENT[-5:], f"bytes {len(CONTENT) - 5}-{len(CONTENT) - 1}/{len(CONTENT)}"),
    ],
)
def test_range_is_served(client: httpx2.Client, requested: str, content: bytes, described: str) -> None:
    """Ranges work: the rest (pip resumes so), the first byte, and the end (poetry reads wheels so)."""
    answer = client.get(f"/packages/ab/{SDIST}", headers={"Range": requested})
    assert (answer.status_code, answer.content, answer.headers["Content-Range"]) == (206, content, described)


def test_range_after_the_end_is_416(client: httpx2.Client) -> None:
    """A range after the end is 416 with the file's size."""
    answer = client.get(f"/packages/ab/{SDIST}", headers={"Range": "bytes=999-"})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{len(CONTENT)}")
    assert answer.headers["Content-Type"] == "text/plain"


def test_if_range_resumes_only_the_same_file(client: httpx2.Client) -> None:
    """If-Range resumes the same file, by ETag or time, and otherwise sends the whole file."""
    url = f"/packages/ab/{SDIST}"
    first = client.get(url)
    for validator in (first.headers["ETag"], first.headers["Last-Modified"]):
        answer = client.get(url, headers={"Range": "bytes=8-", "If-Range": validator})
        assert (answer.status_code, answer.content) == (206, CONTENT[8:])
    answer = client.get(url, headers={"Range": "bytes=8-", "If-Range": '"another"'})
    assert (answer.status_code, answer.content) == (200, CONTENT)


@pytest.mark.origin_only
def test_removed_file_is_404_at_once(client: httpx2.Client, tree: Tree) -> None:
    """A removed file, such as malware, is not served any more."""
    tree.write("pypi/web/packages/ab/evil-1.0.tar.gz", b"evil\n")
    assert client.get("/packages/ab/evil-1.0.tar.gz").content == b"evil\n"
    (tree.web / "packages/ab/evil-1.0.tar.gz").unlink()
    assert client.get("/packages/ab/evil-1.0.tar.gz").status_code == 404


@pytest.mark.origin_only
@pytest.mark.proves("reliability/removal")
def test_removed_metadata_is_404_within_seconds(client: httpx2.Client, tree: Tree) -> None:
    """The metadata of a removed file, which nginx may have open, is not served for longer than a second or two."""
    url, file = "/packages/ab/evil-2.0.tar.gz.metadata", tree.web / "packages/ab/evil-2.0.tar.gz.metadata"
    tree.write("pypi/web/packages/ab/evil-2.0.tar.gz.metadata", b"evil\n")
    assert [client.get(url).content for _ in range(2)] == [b"evil\n"] * 2
    file.unlink()
    await_absence(client, url)


@pytest.mark.origin_only
def test_published_metadata_is_there_at_once(client: httpx2.Client, tree: Tree) -> None:
    """Metadata that was requested before it was published is served from its publication on: no 404 is kept."""
    url = "/packages/ab/late-1.0.tar.gz.metadata"
    assert client.get(url).status_code == 404
    tree.write("pypi/web/packages/ab/late-1.0.tar.gz.metadata", b"late\n")
    assert client.get(url).content == b"late\n"


@pytest.mark.origin_only
def test_warm_and_cold_files_are_answered_alike(client: httpx2.Client, tree: Tree) -> None:
    """A small file has the same answer from a thread as, a second after its first request, from the worker itself."""
    tree.write("pypi/web/packages/ab/warm-1.0.tar.gz", b"warm\n" * 1_000)
    answers = set()
    until = time.monotonic() + 1.5  # no event tells when nginx believes that the file is in the page cache
    while time.monotonic() < until:
        answer = client.get("/packages/ab/warm-1.0.tar.gz", headers={"Range": "bytes=5-"})
        assert (answer.status_code, answer.content) == (206, b"warm\n" * 999)
        # nginx closes a connection after 1,000 requests.
        answers.add(tuple(item for item in answer.headers.items() if item[0] not in ("date", "connection")))
    assert len(answers) == 1


@pytest.mark.parametrize(
    "path",
    [
        "ab/absent-1.0.tar.gz",
        "cd/foo_bar-1.0.tar.gz",
        long_path(DIGEST, "absent-1.0.tar.gz"),
        long_path("cd" + DIGEST[2:], SDIST),
        long_path(DIGEST.upper(), SDIST),
        "",
        "ab",
        "ab/",
        "ab/ef",
        "ab/ef/",
        f"ab/ef/{OTHER_DIGEST[4:]}",
        f"ab/x/{SDIST}",
        f"AB/{SDIST}",
    ],
)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_missing_file_is_404_in_one_line(client: httpx2.Client, prefix: str, path: str) -> None:
    """A missing file or a directory is a 404 in one line of text, which caches do not keep forever."""
    answer = client.get(f"{prefix}/packages/{path}")
    name = "absent" if "absent" in path else "foo-bar"
    told = (
        f"404: this file is not on this mirror; its page /ui/projects/{name}?version=1.0 says why and how to get it\n"
    )
    assert answer.status_code == 404
    assert answer.text in ({told} if path == "ab/absent-1.0.tar.gz" else {told, "404: not on this mirror\n"})
    assert answer.headers["Content-Type"] == "text/plain"
    assert "Cache-Control" not in answer.headers


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("Foo_Bar.x-2.0-py3-none-any.whl", "foo-bar-x?version=2.0"),
        ("foo-2.0+cu12-1-py3-none-any.whl.metadata", "foo?version=2.0%2Bcu12"),
        ("foo-2.0%2Bcu12-py3-none-any.whl", "foo?version=2.0%2Bcu12"),
        ("foo-bar-2.0.zip", "foo-bar?version=2.0"),
        ("foo-2.0%20(1).tar.gz", "foo"),
        ("foo-2.0.exe", None),
        ("-2.0.tar.gz", None),
        ("%3Cscript%3E-2.0.tar.gz", None),
        ("foo%20X-2.0.tar.gz", None),
        (f"{'a' * 200}-2.0.tar.gz", None),
        ("caf%C3%A9-2.0.tar.gz", None),
    ],
)
def test_missing_file_names_the_page_of_its_project(client: httpx2.Client, name: str, page: str | None) -> None:
    """The 404 of a file leads to the page of its project and version, if its name tells a plain one."""
    answer = client.get(f"/packages/ab/{name}")
    told = f"this file is not on this mirror; its page /ui/projects/{page} says why and how to get it"
    assert answer.text == f"404: {told if page else 'not on this mirror'}\n"


PAST_THE_END = {"Range": "bytes=999999-"}


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize(
    "path",
    ["/simple/foo-bar/", "/simple/", "/packages/ab/foo.tar", "/pypi/foo-bar/json", "/centos/.treeinfo", "/ubuntu/"],
)
@pytest.mark.parametrize("coding", ["gzip", "identity"])
@pytest.mark.tree_only
def test_416_has_no_headers_of_the_file(client: httpx2.Client, path: str, coding: str) -> None:
    """A 416 is one line of text without the file's encoding, tag or lifetime, and no header twice."""
    answer = client.get(path, headers=PAST_THE_END | {"Accept-Encoding": coding})
    assert (answer.status_code, answer.headers["Content-Type"]) == (416, "text/plain")
    assert answer.text == "416: the range starts after the end of the file\n"
    assert re.fullmatch(r"bytes \*/\d+", answer.headers["Content-Range"])
    names = [name.lower() for name, _ in answer.headers.multi_items()]
    assert len(names) == len(set(names)), names
    assert not {"content-encoding", "etag", "last-modified", "cache-control", "x-pypi-last-serial"} & set(names)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize(
    "path", ["/simple/foo-bar/", "/packages/ab/foo.tar", "/pypi/foo-bar/json", "/centos/.treeinfo"]
)
@pytest.mark.parametrize(
    "condition", [{"If-Match": '"other"'}, {"If-Unmodified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"}]
)
@pytest.mark.tree_only
def test_412_has_no_headers_of_the_file(
    request: pytest.FixtureRequest, client: httpx2.Client, path: str, condition: dict[str, str]
) -> None:
    """A 412 is one line of text without the file's encoding or lifetime, and no header twice."""
    answer = client.get(path, headers=condition | {"Accept-Encoding": "gzip"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (412, "text/plain")
    assert answer.text.startswith("412: ")
    # An edge only forwards the condition on another mirror's file; the connection to the origin is closed.
    if "edge-" not in request.node.name or not path.startswith("/centos"):
        assert answer.headers["Connection"] == "close", "as it is"
    names = [name.lower() for name, _ in answer.headers.multi_items()]
    assert len(names) == len(set(names)), names
    assert not {"content-encoding", "etag", "last-modified", "cache-control"} & set(names)

"""The legacy JSON API: a document a project, and its serial in a header."""

import httpx2
import pytest

from nginx.containers import Container
from nginx.tree import Tree

pytestmark = pytest.mark.docker

PATHS = ("/pypi/foo-bar/json", "/pypi/web/pypi/foo-bar/json")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_document_with_its_headers(client: httpx2.Client, tree: Tree, path: str, encoding: str) -> None:
    """Type, serial and lifetime are PyPI's; the .gz twin is sent as it lies there; a second look costs no body."""
    answer = client.get(path, headers={"Accept-Encoding": encoding})
    file = tree.web / "pypi/foo-bar" / ("json.gz" if encoding == "gzip" else "json")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json() == {"last_serial": 25_000_000, "info": {}}
    assert answer.headers.get("Content-Encoding", "identity") == encoding
    assert int(answer.headers["Content-Length"]) == file.stat().st_size
    known = {"If-None-Match": answer.headers["ETag"], "Accept-Encoding": encoding}
    again = client.get(path, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    for said in (answer.headers, again.headers):
        assert said.get_list("X-PyPI-Last-Serial") == ["25000000"]
        assert said.get_list("Cache-Control") == ["max-age=900, public"]
        assert said.get_list("Vary") == ["Accept-Encoding"]
        assert said.get_list("Access-Control-Expose-Headers") == ["X-PyPI-Last-Serial"]


@pytest.mark.parametrize("path", ["/pypi/absent/json", "/pypi/foo-bar/1.0/json", "/pypi/foo-bar/json.gz", "/pypi/json"])
def test_what_is_not_there(client: httpx2.Client, path: str) -> None:
    """A project without a document, and documents of single versions, are absent, without a serial or a complaint."""
    answer = client.get(path)
    assert answer.status_code == 404
    assert "X-PyPI-Last-Serial" not in answer.headers


@pytest.mark.parametrize("said", [{}, {"info": {"last_serial": 9}}, {"last_serial": "7\r\nX: y"}, {"last_serial": -1}])
def test_document_that_is_not_ours(client: httpx2.Client, tree: Tree, said: dict[str, object]) -> None:
    """What begins in another way is served all the same, and no serial is made up for it."""
    tree.document("other", said)
    answer = client.get("/pypi/other/json")
    assert (answer.status_code, answer.json()) == (200, said)
    assert not {"X-PyPI-Last-Serial", "X"} & set(answer.headers)


def test_new_document_is_seen_at_once(client: httpx2.Client, tree: Tree, nginx: Container) -> None:
    """The moment a document is renamed into its place, it and its serial are served; nothing is left open."""
    for serial in range(1, 400):
        tree.document("daily", {"last_serial": serial}, mtime=1_790_000_000 + serial)
        answer = client.get("/pypi/daily/json")
        assert (answer.headers["X-PyPI-Last-Serial"], answer.json()) == (str(serial), {"last_serial": serial})
    held = nginx.run("sh", "-c", "ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c daily || true")
    assert held == "0"

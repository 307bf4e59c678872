"""The legacy JSON API: a document per project, with its serial in a header."""

import httpx2
import pytest

from nginx.containers import Container
from nginx.tree import Tree

pytestmark = pytest.mark.docker
THROUGH_AN_EDGE = True
FROM_A_BUCKET = True

PATHS = ("/pypi/foo-bar/json", "/pypi/web/pypi/foo-bar/json")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_legacy_document_has_pypis_headers(client: httpx2.Client, tree: Tree, path: str, encoding: str) -> None:
    """Type, serial and lifetime match PyPI; the .gz file is sent unchanged; revalidation needs no body."""
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
def test_missing_legacy_document_is_404(client: httpx2.Client, path: str) -> None:
    """A missing document, and those of single versions, are 404 without a serial and without a log line."""
    answer = client.get(path)
    assert answer.status_code == 404
    assert "X-PyPI-Last-Serial" not in answer.headers


@pytest.mark.origin_only
@pytest.mark.parametrize("said", [{}, {"info": {"last_serial": 9}}, {"last_serial": "7\r\nX: y"}, {"last_serial": -1}])
def test_foreign_document_has_no_serial(client: httpx2.Client, tree: Tree, said: dict[str, object]) -> None:
    """A document with another beginning is served without a serial."""
    tree.document("other", said)
    answer = client.get("/pypi/other/json")
    assert (answer.status_code, answer.json()) == (200, said)
    assert not {"X-PyPI-Last-Serial", "X"} & set(answer.headers)


@pytest.mark.origin_only
def test_replaced_document_is_served_at_once(client: httpx2.Client, tree: Tree, nginx: Container) -> None:
    """A replaced document and its serial are served at once; no file stays open."""
    for serial in range(1, 400):
        tree.document("daily", {"last_serial": serial}, mtime=1_790_000_000 + serial)
        answer = client.get("/pypi/daily/json")
        assert (answer.headers["X-PyPI-Last-Serial"], answer.json()) == (str(serial), {"last_serial": serial})
    held = nginx.run("sh", "-c", "ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c daily || true")
    assert held == "0"

"""Held and blocked files: each of their URLs answers 403 with reason and date, and no byte of the file."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from mirror_syncer.model.names import PackagePath
from mirror_syncer.volume import Volume
from nginx.containers import LOGS, await_absence, connect, mirror
from nginx.tree import DIGEST, OTHER_DIGEST, Tree, long_path, plant

pytestmark = pytest.mark.docker

TEXT = "uploaded 2026-11-27 10:12 UTC; this mirror waits 7 days, until 2026-12-04 10:12 UTC"
REFUSED = f"{TEXT}\n"
BYTES = b"bytes that must not leave\n"
OTHER = b"other content of the same name\n"
METADATA = b"Metadata-Version: 2.4\n"
PREFIXES = ("", "/pypi/web")
NAME = "evil-1.0.tar.gz"
SHORT, LONG, OTHER_LONG = f"ab/{NAME}", long_path(DIGEST, NAME), long_path(OTHER_DIGEST, NAME)


@pytest.fixture
def held(tree: Tree, client: httpx2.Client) -> Iterator["Held"]:
    """Return the shared mirror's tree for the files of a test, which are removed at its end, also for nginx."""
    with Volume(tree.root, mirror_id="secret", known=True) as volume:
        kept = Held(tree, volume)
        yield kept
        kept.clear()
        for path in URLS:
            await_absence(client, f"/packages/{path}.metadata")


class Held:
    """The files of one name, which a test publishes, holds and removes as the syncer does."""

    def __init__(self, tree: Tree, volume: Volume) -> None:
        self._tree = tree
        self.volume = volume

    def publish(self, path: str, content: bytes) -> None:
        """Put a file and its metadata where its URL says."""
        self._tree.write(f"pypi/web/packages/{path}", content)
        self._tree.write(f"pypi/web/packages/{path}.metadata", METADATA)

    def hold(self, path: str, text: str = TEXT, *, digest: str = DIGEST) -> None:
        """Hold a file."""
        self.volume.hold(PackagePath(f"packages/{path}"), text, address=digest)

    def release(self, path: str, *, digest: str = DIGEST) -> None:
        """Release a file."""
        self.volume.release(PackagePath(f"packages/{path}"), address=digest)

    def remove(self, path: str) -> None:
        """Remove a file as at the end of its grace period."""
        self.volume.remove(PackagePath(f"packages/{path}"))

    def clear(self) -> None:
        """Remove all files, markers and tombstones of the name."""
        for path in self.volume.web.glob(f"packages/**/{NAME}*"):
            path.unlink()


def answers(client: httpx2.Client, *paths: str) -> list[bytes | int]:
    """Return the text or content that each URL answers with, or its status; below both prefixes, and for metadata."""
    found: list[bytes | int] = []
    for path in paths:
        whole = {get(client, f"{prefix}/packages/{path}") for prefix in PREFIXES}
        metadata = {get(client, f"{prefix}/packages/{path}.metadata") for prefix in PREFIXES}
        (content,), (described,) = whole, metadata
        assert described == (METADATA if content in (BYTES, OTHER) else content)
        found.append(content)
    return found


def get(client: httpx2.Client, url: str) -> bytes | int:
    """Return the content at a URL, the text of a held file, or another status than 200."""
    answer = client.get(url)
    if answer.status_code == 403:
        assert answer.text == REFUSED
    return answer.content if answer.status_code in (200, 403) else answer.status_code


HELD = REFUSED.encode()


@pytest.mark.proves("security/project-owners")
@pytest.mark.parametrize("there", [True, False], ids=["bytes left by a crash", "moved aside"])
def test_held_file_is_403_by_each_url(client: httpx2.Client, held: Held, *, there: bool) -> None:
    """A held file is 403 with reason and date by its short and its long URLs, even if a crash left its bytes there."""
    if there:
        held.publish(SHORT, BYTES)
    held.hold(SHORT)
    # The mirror does not know whether it has the other content: see volume/held_markers.py.
    assert answers(client, SHORT, LONG, OTHER_LONG) == [HELD, HELD, HELD]
    held.release(SHORT)
    assert answers(client, SHORT, LONG) == ([BYTES, BYTES] if there else [404, 404])


URLS = (SHORT, LONG, OTHER_LONG)


@pytest.mark.proves("security/project-owners")
@pytest.mark.parametrize(
    ("place", "other", "leaving", "expected"),
    [
        (LONG, SHORT, LONG, [[OTHER, HELD, OTHER], [OTHER, HELD, OTHER], [OTHER, 404, OTHER]]),
        (SHORT, OTHER_LONG, OTHER_LONG, [[HELD, HELD, OTHER], [HELD, HELD, 404], [BYTES, BYTES, 404]]),
    ],
    ids=["held at its full path and removed", "held at its short path while the other is removed"],
)
def test_held_file_hides_no_other_content_of_its_name(
    client: httpx2.Client, held: Held, *, place: str, other: str, leaving: str, expected: list[list[bytes | int]]
) -> None:
    """A held file is 403 at its own place; other content of its name keeps its URLs, and is 404 once removed."""
    held.publish(other, OTHER)
    held.publish(place, BYTES)
    held.hold(place)
    while_held = answers(client, *URLS)
    held.remove(leaving)
    after_removal = answers(client, *URLS)
    held.release(place)
    assert [while_held, after_removal, answers(client, *URLS)] == expected


@pytest.mark.proves("security/project-owners")
def test_copy_in_an_adopted_tree_is_403(client: httpx2.Client, held: Held) -> None:
    """A held file that an adopted tree also has at its full path is 403 there, too."""
    held.publish(SHORT, BYTES)
    held.publish(LONG, BYTES)
    held.hold(SHORT)
    assert answers(client, SHORT, LONG, OTHER_LONG) == [HELD, HELD, HELD]
    held.release(SHORT)
    assert answers(client, SHORT, LONG) == [BYTES, BYTES]


@pytest.mark.proves("security/project-owners")
@pytest.mark.parametrize("path", [SHORT, LONG])
def test_no_request_gets_a_byte_of_a_held_file(client: httpx2.Client, held: Held, path: str) -> None:
    """Ranges and conditions, in any spelling of the URL, do not turn the 403 into 200, 206, 304, 412 or 416."""
    held.publish(SHORT, BYTES)
    etag = client.get(f"/packages/{path}").headers["ETag"]
    held.hold(SHORT)
    urls = [f"/packages/{path}", f"/packages/{path}.metadata", f"/packages/{path.replace('evil', '%65vil')}"]
    for url in [*urls, f"/packages//{path}", f"/packages/%61b{path[2:]}", f"/simple/%2E%2e/packages/{path}?a=b"]:
        for headers in (
            {},
            {"Range": "bytes=0-3"},
            {"Range": "bytes=9999-"},
            {"Range": "bytes=0-3", "If-Range": etag},
            {"If-None-Match": etag},
            {"If-None-Match": "*"},
            {"If-Match": '"other"'},
            {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
            {"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
            {"Accept-Encoding": "gzip"},
        ):
            answer = client.get(url, headers=headers)
            assert (answer.status_code, answer.text) == (403, REFUSED), (url, headers)
            head = client.head(url, headers=headers)
            assert (head.status_code, head.headers["Content-Length"]) == (403, str(len(HELD)))
    assert client.post(f"/packages/{path}").status_code == 405


def test_403_has_the_headers_of_an_error(client: httpx2.Client, held: Held) -> None:
    """The reason is plain text that no cache keeps and no client revalidates; scripts may read it like other errors."""
    held.hold(SHORT, "blocked: Schadsoftware, geprüft")
    for path in (SHORT, LONG):
        answer = client.get(f"/packages/{path}")
        assert answer.text == "blocked: Schadsoftware, geprüft\n"
        headers = answer.headers
        assert (headers["Content-Type"], headers["Cache-Control"]) == ("text/plain; charset=utf-8", "no-store")
        assert (headers["X-Content-Type-Options"], headers["Access-Control-Allow-Origin"]) == ("nosniff", "*")
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert not {"etag", "last-modified", "accept-ranges", "expires", "content-encoding"} & set(headers)


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize("prefix", PREFIXES)
def test_marker_has_no_url(client: httpx2.Client, held: Held, prefix: str) -> None:
    """A marker is a hidden file: no URL reads it, and the internal locations are 404."""
    held.hold(SHORT)
    for path in (f"{prefix}/packages/ab/.held/{NAME}", f"{prefix}/packages/ab/.held/", "/.held", "/.error/held"):
        answer = client.get(path)
        assert (answer.status_code, TEXT in answer.text) == (404, False), path


@pytest.mark.proves("security/neighbours")
def test_planted_marker_exposes_nothing(client: httpx2.Client, held: Held) -> None:
    """A directory in a marker's place is a 403 with a text; a symlink there is not followed."""
    directory = held.volume.web / "packages/ab/.held"
    directory.mkdir(exist_ok=True)
    (directory / NAME).mkdir()
    answer = client.get(f"/packages/{SHORT}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (403, "text/plain")
    assert re.fullmatch(r"403: not readable, .*\n", answer.text)
    (directory / NAME).rmdir()
    (directory / NAME).symlink_to("../../../../.mirror-id")
    assert client.get(f"/packages/{SHORT}").status_code == 404


@pytest.mark.proves("security/network")
def test_reason_needs_the_password(image: str, tmp_path: Path) -> None:
    """With a password, nginx asks for it before it says which files are held, and why."""
    tree = plant(tmp_path / "root")
    passwords = tmp_path / "htpasswd"
    passwords.write_text("ci:{SSHA}LhKrkM9Fy+zlstjdD7Kv2s6QvhBzYWx0\n")
    passwords.chmod(0o444)
    with Volume(tree.root, mirror_id="secret", known=True) as volume:
        volume.hold(PackagePath(f"packages/{SHORT}"), TEXT, address=DIGEST)
    options = (LOGS, "--env=MIRROR_NGINX=htpasswd", f"--volume={passwords}:/run/secrets/htpasswd:ro")
    with mirror(image, tree.root, *options) as container, connect(container) as client:
        for path in (SHORT, LONG):
            refused = client.get(f"/packages/{path}")
            assert (refused.status_code, TEXT in refused.text) == (401, False)
            answer = client.get(f"/packages/{path}", auth=("ci", "correct horse"))
            assert (answer.status_code, answer.text) == (403, REFUSED)

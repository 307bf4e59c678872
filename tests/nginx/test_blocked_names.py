"""Blocked projects: their pages are 404, never 403, with the reason as text."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

import httpx2
import pytest

from mirror_syncer.volume import Volume
from nginx.containers import LOGS, Container, connect, mirror
from nginx.tree import plant

pytestmark = pytest.mark.docker

UNKNOWN = "404: {0} is not on this mirror; its page /ui/projects/{0} says why and how to get it\n"
SIZE = 20_000
GLOBS = ("acme-*", "*-internal", "a?c", "x[0-9y]z", "n[!a-c]t", "*mid*dle*", "[z", "q[-]q", "*", "**a*b")
PROBES = (
    *("acme", "acme-x-y", "my-internal", "internal", "abc", "ac", "abbc", "x1z", "xyz", "xaz", "nat", "ndt"),
    *("middle", "amidbdlec", "midde", "z", "q-q", "qaq", "ab", "aab", "ba", "aabba", "xaxb"),
)


@pytest.fixture(scope="module")
def blocking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Volume]:
    """Return the tree of a mirror of its own."""
    tree = plant(tmp_path_factory.mktemp("blocking"))
    with Volume(tree.root, mirror_id="secret", known=True) as volume:
        yield volume


@pytest.fixture(scope="module")
def container(image: str, blocking: Volume) -> Iterator[Container]:
    """Return a mirror over that tree."""
    with mirror(image, blocking.root, LOGS) as running:
        yield running


@pytest.fixture
def browser(container: Container) -> Iterator[httpx2.Client]:
    """Return a client of that mirror."""
    with connect(container) as client:
        yield client


def reason(client: httpx2.Client, name: str) -> str | None:
    """Return the reason that a project's 404 gives, or None."""
    answer = client.get(f"/simple/{name}/")
    assert answer.status_code == 404
    if answer.text in (UNKNOWN.format(name), "404: not on this mirror\n"):
        return None
    return answer.text.removeprefix("404: blocked on this mirror: ").removesuffix("\n")


@pytest.mark.proves("security/project-owners")
def test_blocked_project_is_404_with_its_reason(browser: httpx2.Client, blocking: Volume) -> None:
    """A blocked name is 404 with the reason, by page and document, in any spelling, also if it never existed."""
    blocking.write_blocked_names({"evil-pkg": "malware, geprüft"}, {"acme-*": "our own names"})
    for path in ("simple/evil-pkg/", "pypi/web/simple/evil-pkg/", "pypi/evil-pkg/json", "pypi/web/pypi/evil-pkg/json"):
        for accepted in ("text/html", "application/vnd.pypi.simple.v1+json", "*/*"):
            answer = browser.get(f"/{path}", headers={"Accept": accepted})
            assert (answer.status_code, answer.text) == (404, "404: blocked on this mirror: malware, geprüft\n")
            headers = answer.headers
            assert (headers["Content-Type"], headers["X-Content-Type-Options"]) == (
                "text/plain; charset=utf-8",
                "nosniff",
            )
            assert headers["Access-Control-Allow-Origin"] == "*"
            assert browser.head(f"/{path}").status_code == 404
    assert browser.get("/simple/Evil_Pkg/", follow_redirects=True).text.endswith("malware, geprüft\n")
    assert reason(browser, "acme-anything") == "our own names"
    for name in ("evil", "evil-pkg2", "evil-pk", "acme", "zzz", "0"):
        assert reason(browser, name) is None
    assert "blocked" not in browser.get("/packages/ab/acme-x-1.0.tar.gz").text
    assert browser.get("/simple/foo-bar/").status_code == 200


def test_published_project_is_served_whatever_the_list_says(browser: httpx2.Client, blocking: Volume) -> None:
    """nginx reads the list only for a missing page: blocking a published project is the syncer's task."""
    blocking.write_blocked_names({"foo-bar": "late"}, {"*": "all"})
    assert browser.get("/simple/foo-bar/").status_code == 200
    assert browser.get("/simple/").status_code == 200


@pytest.mark.proves("security/project-owners")
def test_long_list_is_searched_not_read(browser: httpx2.Client, blocking: Volume) -> None:
    """Each of 20,000 names is found, and no name beside one."""
    names = {f"pkg-{number:05}{'-x' * (number % 40)}": f"reason {number}" * (number % 30) for number in range(SIZE)}
    blocking.write_blocked_names(names, {})
    ordered = sorted(names)
    for place in (0, 1, 2, 1_000, 9_999, 10_000, 12_345, SIZE - 2, SIZE - 1):
        name = ordered[place]
        assert reason(browser, name) == (names[name] or "held by the policy of this mirror")
        assert reason(browser, f"{name}0") is None
    for name in ("a", "pkg", "pkg-1", "zzz", "a" * 255, "a" * 256, "a" * 4_000):
        assert reason(browser, name) is None


@pytest.mark.parametrize("glob", GLOBS)
def test_patterns_match_as_in_python(browser: httpx2.Client, blocking: Volume, glob: str) -> None:
    """A pattern matches the names that Python's fnmatch matches, so that nginx and the syncer agree."""
    blocking.write_blocked_names({}, {glob: "pattern"})
    found = [name for name in PROBES if reason(browser, name)]
    assert found == [name for name in PROBES if fnmatchcase(name, glob)]


@pytest.mark.proves("security/clients")
def test_crafted_name_does_not_make_a_pattern_slow(
    browser: httpx2.Client, blocking: Volume, container: Container
) -> None:
    """A name that is nearly a match costs a pattern with many stars no more than its length times the pattern's."""
    blocking.write_blocked_names({}, {"*" + "a*" * 60 + "b": "slow"})
    assert reason(browser, "a" * 250) is None
    assert reason(browser, "a" * 250 + "b") == "slow"
    assert "timed out" not in container.logs


@pytest.mark.proves("security/neighbours")
@pytest.mark.parametrize(
    "content", [b"", b"\n", b"9 9\n", b"99999999999 1\nx", b"0 99999999999\nfoo\ta\n", b"\xff" * 9_999]
)
def test_damaged_list_leaves_a_plain_404(browser: httpx2.Client, blocking: Volume, content: bytes) -> None:
    """A damaged, unreadable or planted list leaves the plain 404, and exposes nothing."""
    path = blocking.base / ".blocked"
    path.write_bytes(content)
    assert reason(browser, "x") is None
    path.unlink()
    path.symlink_to(".mirror-id")
    assert reason(browser, "x") is None
    path.unlink()
    path.mkdir()
    assert reason(browser, "x") is None
    path.rmdir()
    for url in ("/pypi/.blocked", "/.error/project"):
        assert browser.get(url).text == "404: not on this mirror\n"

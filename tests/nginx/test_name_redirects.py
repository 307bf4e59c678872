"""PEP 503: every spelling of a name redirects to its normalized form."""

import random
import string
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urljoin

import httpx2
import pytest
from packaging.utils import canonicalize_name

from nginx.containers import Container

pytestmark = pytest.mark.docker
THROUGH_AN_EDGE = True
FROM_A_BUCKET = True

PREFIXES = ("", "/pypi/web")


def led(client: httpx2.Client, path: str) -> str:
    """Return where a redirect leads, as a client's library resolves it."""
    answer = client.get(path)
    assert answer.status_code == 301, f"{path}: {answer.status_code}"
    return urljoin(path, answer.headers["Location"])


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("spelling", ["Foo.Bar", "foo_bar/", "foo-bar", "FOO--.__BAR", "foo.BAR/"])
def test_any_spelling_redirects_once(client: httpx2.Client, prefix: str, spelling: str) -> None:
    """Case, dots, repeated separators and a missing slash need one redirect to an existing page."""
    page = led(client, f"{prefix}/simple/{spelling}")
    assert page == f"{prefix}/simple/foo-bar/"
    assert client.get(page).status_code == 200


@pytest.mark.parametrize("prefix", PREFIXES)
def test_simple_without_slash_redirects(client: httpx2.Client, prefix: str) -> None:
    """``/simple``, which downstream mirrors request, redirects to the project list."""
    assert led(client, f"{prefix}/simple?a=b") == f"{prefix}/simple/?a=b"


@pytest.mark.parametrize("prefix", PREFIXES)
def test_legacy_document_is_found_in_any_spelling(client: httpx2.Client, prefix: str) -> None:
    """Any spelling of a project's name redirects to its legacy document."""
    for slash in ("", "/"):
        place = led(client, f"{prefix}/pypi/Foo.Bar/json{slash}")
        assert place == f"{prefix}/pypi/foo-bar/json"
        document = client.get(place)
        assert (document.headers["Content-Type"], document.json()["info"]) == ("application/json", {})


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize(
    "path",
    [
        *("/simple/Foo_Bar", "/simple/Foo_Bar/", "/simple", "/pypi/web/simple", "/pypi/web/simple/Foo"),
        *("/pypi/Foo/json", "/pypi/Foo/json/", "/ui", "/centos", "/centos/images"),
    ],
)
@pytest.mark.tree_only
def test_redirect_keeps_a_proxys_path(client: httpx2.Client, path: str) -> None:
    """Redirects are relative, so a proxy may add a path prefix."""
    location = client.get(path).headers["Location"]
    assert not location.startswith("/")
    below = urljoin(f"/proxy/path{path}", location)
    assert below == f"/proxy/path{urljoin(path, location)}"
    assert below.endswith(("/", "/json"))


DOUBLED = [
    ("/simple//foo-bar/", "/simple/foo-bar/"),
    ("/simple/foo-bar//", "/simple/foo-bar/"),
    ("//simple/foo-bar/", "/simple/foo-bar/"),
    ("/simple//", "/simple/"),
    ("//simple", "/simple/"),
    ("/simple//Foo.Bar", "/simple/foo-bar/"),
    ("/pypi/web/simple//foo-bar/", "/pypi/web/simple/foo-bar/"),
    ("/pypi//web/simple/foo-bar/", "/pypi/web/simple/foo-bar/"),
    ("//evil.example/..//simple/foo-bar/", "/simple/foo-bar/"),
    ("/simple/%2Ffoo-bar/?a=//b", None),
    ("/simple%2FFoo.Bar/", "/simple/foo-bar/"),
    ("/simple/./Foo.Bar", "/simple/foo-bar/"),
    ("//pypi/Foo/json", "/pypi/foo/json"),
]


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize(("path", "location"), DOUBLED)
def test_doubled_slash_redirects(nginx: Container, path: str, location: str | None) -> None:
    """Relative URLs of a page only work at its own path, so other spellings of the path redirect to it."""
    for headers, prefix in (({}, ""), ({"X-Forwarded-Prefix": "/proxy/path/"}, "/proxy/path")):
        with closing(HTTPConnection(*nginx.address, timeout=5)) as connection:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            answer.read()
        if location is not None:
            assert (answer.status, answer.headers["Location"]) == (301, f"{prefix}{location}")
            assert answer.headers["Vary"] == "X-Forwarded-Prefix"
        else:
            assert answer.status == 200


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize(
    "claimed",
    [
        *("//evil.example", "https://evil.example", "/a//b", "/..", "/a/../..", "a", "/a b", "/a?b", '/"'),
        *("/%0d%0aX:1", "/a\\b", "/" + "x" * 65, "/x" * 9, "/a, /b"),
    ],
)
def test_invalid_forwarded_prefix_is_ignored(client: httpx2.Client, claimed: str) -> None:
    """``X-Forwarded-Prefix`` counts only as a few plain segments: no other host, no parent directory."""
    answer = client.get("/simple//foo-bar/", headers={"X-Forwarded-Prefix": claimed})
    assert (answer.status_code, answer.headers["Location"]) == (301, "/simple/foo-bar/")
    assert "X" not in answer.headers


def test_redirect_keeps_the_query(client: httpx2.Client) -> None:
    """A redirect keeps the query, and so the requested format."""
    query = "format=application/vnd.pypi.simple.v1%2Bjson&x=%0d%0aX:1"
    assert led(client, f"/simple/Foo.Bar?{query}") == f"/simple/foo-bar/?{query}"


def test_redirect_contains_no_host(client: httpx2.Client) -> None:
    """A redirect contains only a path, so neither a forged Host nor the container's port."""
    answer = client.get("/simple/Foo", headers={"Host": "evil.example:99"})
    assert answer.headers["Location"] == "foo/"


def test_normalization_matches_packaging(client: httpx2.Client) -> None:
    """Any spelling of a valid name redirects to the result of packaging's canonicalize_name."""
    chance = random.Random(503)
    ends = string.ascii_letters + string.digits
    for _ in range(300):
        inside = "".join(chance.choices(ends + "._-" * 8, k=chance.randrange(12)))
        spelling = chance.choice(ends) + inside + chance.choice(ends)
        normalized = canonicalize_name(spelling, validate=True)
        answer = client.get(f"/simple/{spelling}/")
        if spelling == normalized:
            assert answer.status_code == 404, spelling
        else:
            assert answer.headers["Location"] == f"../{normalized}/", spelling


@pytest.mark.parametrize("name", ["-", "--", "_foo", "foo-", "foo%20bar", "f%C3%B6%C3%B6", "foo/bar"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_invalid_name_is_404(client: httpx2.Client, name: str, slash: str) -> None:
    """An invalid name is a 404, never a redirect loop or a split header."""
    answer = client.get(f"/simple/{name}{slash}")
    assert answer.status_code == 404
    assert "Location" not in answer.headers


@pytest.mark.parametrize("slash", ["", "/"])
def test_name_with_a_line_break_is_400(client: httpx2.Client, slash: str) -> None:
    """A name with a line break splits no header and reaches no log: it is a 400."""
    answer = client.get(f"/simple/foo%0d%0aX:1{slash}")
    assert answer.status_code == 400
    assert not {"Location", "X"} & set(answer.headers)

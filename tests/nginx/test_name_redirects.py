"""PEP 503: every spelling of a name leads to its normalized form, at once."""

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

PREFIXES = ("", "/pypi/web")


def led(client: httpx2.Client, path: str) -> str:
    """Return where a redirect leads, as a client's library resolves it."""
    answer = client.get(path)
    assert answer.status_code == 301, f"{path}: {answer.status_code}"
    return urljoin(path, answer.headers["Location"])


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("spelling", ["Foo.Bar", "foo_bar/", "foo-bar", "FOO--.__BAR", "foo.BAR/"])
def test_one_hop(client: httpx2.Client, prefix: str, spelling: str) -> None:
    """Case, dots, repeated signs and a missing slash are mended in one redirect, to a page that is there."""
    page = led(client, f"{prefix}/simple/{spelling}")
    assert page == f"{prefix}/simple/foo-bar/"
    assert client.get(page).status_code == 200


@pytest.mark.parametrize("prefix", PREFIXES)
def test_list_without_slash(client: httpx2.Client, prefix: str) -> None:
    """``/simple``, which downstream mirrors ask for, leads to the list of projects."""
    assert led(client, f"{prefix}/simple?a=b") == f"{prefix}/simple/?a=b"


@pytest.mark.parametrize("prefix", PREFIXES)
def test_legacy_json(client: httpx2.Client, prefix: str) -> None:
    """The legacy JSON document of a project is found by any spelling of its name too."""
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
def test_redirect_stays_below_the_path_of_a_proxy(client: httpx2.Client, path: str) -> None:
    """A redirect is relative to what was asked, so a proxy in front may give the mirror a path of its own."""
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
def test_slash_too_many(nginx: Container, path: str, location: str | None) -> None:
    """A page's relative URLs hold only at its own path, so any other spelling of the path is redirected to that."""
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
def test_path_of_a_proxy_is_believed_only_if_it_is_one(client: httpx2.Client, claimed: str) -> None:
    """``X-Forwarded-Prefix`` is a few plain segments, or nothing: never another host, never a way up."""
    answer = client.get("/simple//foo-bar/", headers={"X-Forwarded-Prefix": claimed})
    assert (answer.status_code, answer.headers["Location"]) == (301, "/simple/foo-bar/")
    assert "X" not in answer.headers


def test_query_is_kept(client: httpx2.Client) -> None:
    """A redirect keeps the query as it came, with the format that it may ask for."""
    query = "format=application/vnd.pypi.simple.v1%2Bjson&x=%0d%0aX:1"
    assert led(client, f"/simple/Foo.Bar?{query}") == f"/simple/foo-bar/?{query}"


def test_host_is_not_repeated(client: httpx2.Client) -> None:
    """A redirect names a path alone, so neither a forged Host nor the container's port gets into it."""
    answer = client.get("/simple/Foo", headers={"Host": "evil.example:99"})
    assert answer.headers["Location"] == "foo/"


def test_agrees_with_packaging(client: httpx2.Client) -> None:
    """Whatever the spelling of a valid name, it leads to what packaging's canonicalize_name says."""
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


@pytest.mark.parametrize("name", ["-", "--", "_foo", "foo-", "foo%0d%0aX:1", "foo%20bar", "f%C3%B6%C3%B6", "foo/bar"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_no_name(client: httpx2.Client, name: str, slash: str) -> None:
    """What is no name is absent, and never redirected in a circle or into a header."""
    answer = client.get(f"/simple/{name}{slash}")
    assert answer.status_code == 404
    assert not {"Location", "X"} & set(answer.headers)

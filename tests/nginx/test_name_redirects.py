"""PEP 503: every spelling of a name leads to its normalized form, at once."""

import random
import string

import httpx2
import pytest
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.docker

PREFIXES = ("", "/pypi/web")


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("spelling", ["Foo.Bar", "foo_bar/", "foo-bar", "FOO--.__BAR", "foo.BAR/"])
def test_one_hop(client: httpx2.Client, prefix: str, spelling: str) -> None:
    """Case, dots, repeated signs and a missing slash are mended in one redirect, to a page that is there."""
    answer = client.get(f"{prefix}/simple/{spelling}")
    assert (answer.status_code, answer.headers["Location"]) == (301, f"{prefix}/simple/foo-bar/")
    assert client.get(answer.headers["Location"]).status_code == 200


@pytest.mark.parametrize("prefix", PREFIXES)
def test_list_without_slash(client: httpx2.Client, prefix: str) -> None:
    """``/simple``, which downstream mirrors ask for, leads to the list of projects."""
    answer = client.get(f"{prefix}/simple?a=b")
    assert (answer.status_code, answer.headers["Location"]) == (301, f"{prefix}/simple/?a=b")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_legacy_json(client: httpx2.Client, prefix: str) -> None:
    """The legacy JSON document of a project is found by any spelling of its name too."""
    answer = client.get(f"{prefix}/pypi/Foo.Bar/json")
    assert (answer.status_code, answer.headers["Location"]) == (301, f"{prefix}/pypi/foo-bar/json")
    document = client.get(answer.headers["Location"])
    assert (document.headers["Content-Type"], document.json()["info"]) == ("application/json", {})


def test_query_is_kept(client: httpx2.Client) -> None:
    """A redirect keeps the query as it came, with the format that it may ask for."""
    query = "format=application/vnd.pypi.simple.v1%2Bjson&x=%0d%0aX:1"
    assert client.get(f"/simple/Foo.Bar?{query}").headers["Location"] == f"/simple/foo-bar/?{query}"


def test_host_is_not_repeated(client: httpx2.Client) -> None:
    """A redirect names a path alone, so neither a forged Host nor the container's port gets into it."""
    answer = client.get("/simple/Foo", headers={"Host": "evil.example:99"})
    assert answer.headers["Location"] == "/simple/foo/"


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
            assert answer.headers["Location"] == f"/simple/{normalized}/", spelling


@pytest.mark.parametrize("name", ["-", "--", "_foo", "foo-", "foo%0d%0aX:1", "foo%20bar", "f%C3%B6%C3%B6", "foo/bar"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_no_name(client: httpx2.Client, name: str, slash: str) -> None:
    """What is no name is absent, and never redirected in a circle or into a header."""
    answer = client.get(f"/simple/{name}{slash}")
    assert answer.status_code == 404
    assert not {"Location", "X"} & set(answer.headers)

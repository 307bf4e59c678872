"""Hostile pages: whatever upstream sends is read or refused, and no other exception occurs."""

import contextlib
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import NormalizedName

import fakepypi
from fakepypi.pages import Document, project_document, to_html, to_json
from mirror_syncer.errors import InvalidPageError
from mirror_syncer.model.page import Page
from mirror_syncer.upstream import parse_json
from mirror_syncer.upstream.html import parse_html

law = settings(max_examples=100)
NAME = NormalizedName("foo")
URL = "https://pypi.org/simple/foo/"
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def document() -> Document:
    """Return warehouse's page of three files, as a dictionary to be spoiled."""
    project = fakepypi.Index().project("foo")
    project.upload("1.0", requires_python=">=3.9", provenance=True)
    project.upload("2.0", wheel=False)
    return project_document(project.listing(), file_origin="https://files.pythonhosted.org")


def read_json(body: bytes) -> Page:
    """Parse a page in JSON."""
    return parse_json(body, name=NAME, url=URL)


def read_html(body: bytes) -> Page:
    """Parse a page in HTML."""
    return parse_html(body, name=NAME, url=URL)


@pytest.mark.proves("security/upstream")
@law
@given(st.sampled_from(sorted(document()["files"][0])), json_values)
def test_any_value_in_an_entry_affects_only_that_entry(field: str, value: object) -> None:
    """Any value in a field of one entry leaves the other entries accepted; that entry is accepted or refused."""
    page = document()
    others = read_json(to_json(page)).files[1:]
    page["files"][0][field] = value
    parsed = read_json(to_json(page))
    assert parsed.files[-len(others) :] == others
    assert len(parsed.files) + len(parsed.refused) == len(page["files"])


@law
@given(st.sampled_from(sorted(document())), json_values)
def test_any_value_in_a_page_is_read_or_refused(field: str, value: object) -> None:
    """A page with any value in a field of its own is read or refused."""
    with contextlib.suppress(InvalidPageError):
        read_json(to_json(document() | {field: value}))


@law
@given(st.binary(max_size=100) | json_values.map(lambda value: json.dumps(value).encode()))
def test_arbitrary_bytes_are_refused(body: bytes) -> None:
    """Bytes that are not a page, JSON or not, are refused."""
    with pytest.raises(InvalidPageError):
        read_json(body)


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize("depth", [100, 1_000, 100_000])
@pytest.mark.parametrize("place", ["page", "entry"])
def test_deeply_nested_page_does_not_crash(depth: int, place: str) -> None:
    """A deeply nested page is read or refused, and never crashes the process."""
    page = document()
    (page if place == "page" else page["files"][0])["deep"] = 0
    body = to_json(page).replace(b'"deep":0', b'"deep":' + b"[" * depth + b"]" * depth)
    try:
        assert len(read_json(body).files) == 3
    except InvalidPageError:
        assert depth > 100


@law
@given(st.integers(0, 2**32), st.integers(1, 8))
def test_damaged_json_is_read_or_refused(seed: int, damages: int) -> None:
    """A JSON page with damaged bytes is read or refused."""
    choose, body = random.Random(seed), bytearray(to_json(document()))
    for _ in range(damages):
        body[choose.randrange(len(body))] = choose.randrange(256)
    with contextlib.suppress(InvalidPageError):
        read_json(bytes(body))


@law
@given(st.integers(0, 2**32), st.integers(1, 12))
def test_damaged_html_is_read_or_refused(seed: int, damages: int) -> None:
    """An HTML page with damaged markup is read or refused."""
    choose, body = random.Random(seed), bytearray(to_html(document()))
    for _ in range(damages):
        at = choose.randrange(len(body))
        body[at : at + choose.randrange(3)] = choose.choice((b"<", b">", b"<!--", b"<![", b'"', b"&#x", b"\xff", b"%"))
    with contextlib.suppress(InvalidPageError):
        read_html(bytes(body))


@law
@given(st.text(st.sampled_from("<>!-[]/&;#x0'\"=a \n\x00?"), max_size=60))
def test_markup_characters_are_read_or_refused(soup: str) -> None:
    """Any sequence of markup characters is read as a page without files, or refused."""
    with contextlib.suppress(InvalidPageError):
        assert read_html(f'<meta name="pypi:repository-version" content="1.0">{soup}'.encode()).files == ()

"""The project list is read block by block in any shape, and invalid lists are refused."""

import contextlib
import io
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from mirror_syncer.errors import InvalidPageError
from mirror_syncer.model.serials import MAX_SERIAL
from mirror_syncer.upstream import ListedProjects, ListReader, project_list
from syncer.site import memory_below

META = {"_last-serial": 900, "api-version": "1.4"}


def read(body: bytes, directory: Path, *, is_json: bool = True) -> tuple[dict[str, int], ListReader, list[str]]:
    """Return what a list names, the reader, and the faults."""
    with ListedProjects(directory) as listed:
        reader = ListReader(io.BytesIO(body), is_json=is_json)
        listed.take(reader)
        found = {name: serial for _, part in listed.parts() for name, serial in part.items()}
        return {str(name): serial for name, serial in found.items()}, reader, listed.faults


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have blocks of some entries, so that boundaries fall everywhere."""
    monkeypatch.setattr(project_list, "_BLOCK_BYTES", 100)
    monkeypatch.setattr(project_list, "_MAX_HEAD_BYTES", 90)


NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,12}[A-Za-z0-9])?", fullmatch=True)
EXTRA = st.dictionaries(
    st.sampled_from(["name-of", "x", "_meta"]),
    st.one_of(st.none(), st.text(max_size=8), st.lists(st.fixed_dictionaries({"name": NAMES}), max_size=3)),
    max_size=2,
)
ENTRIES = st.lists(st.tuples(NAMES, st.one_of(st.none(), st.integers(1, MAX_SERIAL)), EXTRA), min_size=1, max_size=40)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(entries=ENTRIES, indent=st.sampled_from([None, 0, 2]), meta_last=st.booleans(), compact=st.booleans())
def test_any_json_list_is_read_completely(
    tmp_path: Path, small_blocks: None, *, entries: list[Any], indent: int | None, meta_last: bool, compact: bool
) -> None:
    """With any white space, keys, nesting, order and collisions, all names are read with their serials."""
    projects = [
        {**extra, "name": name} | ({} if serial is None else {"_last-serial": serial})
        for name, serial, extra in entries
    ]
    document = {"projects": projects, "meta": META} if meta_last else {"meta": META, "projects": projects}
    separators = (",", ":") if compact else None
    body = json.dumps(document, indent=indent, separators=separators).encode()

    expected: dict[str, int] = {}
    contradicted = 0
    for name, serial, _ in entries:
        normalized = canonicalize_name(name)
        before = expected.get(normalized, 0)
        contradicted += bool(before and serial and before != serial)
        expected[normalized] = max(before, serial or 0)
    found, reader, faults = read(body, tmp_path)
    assert (found, reader.serial, reader.faults) == (expected, 900, [])
    assert len(faults) == contradicted


@pytest.mark.proves("reliability/upstream")
def test_repeated_name_is_a_fault_only_with_two_serials(tmp_path: Path) -> None:
    """A repeated name is one project; two different serials are a fault, and the higher one is used."""
    entries = [("six", 7), ("Six", 7), ("foo", 3), ("foo", None), ("bar", 1), ("bar", 2), ("bar", 2)]
    projects = [{"name": name} | ({} if serial is None else {"_last-serial": serial}) for name, serial in entries]
    found, _, faults = read(json.dumps({"meta": META, "projects": projects}).encode(), tmp_path)
    assert found == {"six": 7, "foo": 3, "bar": 2}
    [fault] = faults
    assert fault.startswith("'bar' is listed twice")


BAD_ENTRIES = (
    *(
        b"null",
        b"true",
        b"7",
        b"1e400",
        b'"six"',
        b"[]",
        b"{}",
        b'{"name":7}',
        b'{"name":null}',
        b'{"x":NaN,"name":[]}',
    ),
    *(b'{"name":"\\ud83d"}', b'{"name":"\xff"}', b'{"name":"\x1b[2J"}', b'{"name":"../.."}'),
)


@pytest.mark.proves("reliability/upstream")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(bad=st.lists(st.sampled_from(BAD_ENTRIES), max_size=3), places=st.lists(st.integers(0, 20), min_size=3))
@example(bad=[b"1e400"], places=[20, 0, 0])
@example(bad=[b"1e400", b"null"], places=[0, 0, 0])
def test_invalid_list_entry_is_reported_alone(
    tmp_path: Path, small_blocks: None, *, bad: list[bytes], places: list[int]
) -> None:
    """A list entry without a name, or that a strict parser refuses, is reported; all others are read."""
    entries = [b'{"name":"project-%d","_last-serial":%d}' % (number, number + 1) for number in range(20)]
    for place, entry in zip(places, bad, strict=False):
        entries.insert(place, entry)
    body = b'{"meta":{"api-version":"1.0"},"projects":[%b]}' % b",".join(entries)
    found, reader, faults = read(body, tmp_path)
    assert found == {f"project-{number}": number + 1 for number in range(20)}
    assert len(faults) + len(reader.faults) == len(bad)
    assert all(fault.isprintable() for fault in faults)


def test_invalid_text_in_an_unused_key_is_ignored(tmp_path: Path, small_blocks: None) -> None:
    """A text that a strict parser refuses, in a key that is not read, does not affect its entry."""
    projects = [{"name": f"project-{number}", "summary": "\ud83d", "score": float("nan")} for number in range(30)]
    found, reader, faults = read(json.dumps({"meta": META, "projects": projects}).encode(), tmp_path)
    assert (len(found), faults, reader.faults, reader.serial) == (30, [], [], 900)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=100)
@given(names=st.lists(NAMES, min_size=1, max_size=30), cut=st.floats(0, 0.999))
def test_truncated_list_is_refused(tmp_path: Path, small_blocks: None, *, names: list[str], cut: float) -> None:
    """A list that is cut anywhere is refused."""
    body = json.dumps({"meta": META, "projects": [{"name": name} for name in names]}).encode()
    with pytest.raises(InvalidPageError):
        read(body[: int(len(body) * cut)], tmp_path)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"<html><body><form>Password</form></body></html>",
        b'{"meta":{"api-version":"1.0"},"projects":[]}',
        b'{"meta":{"api-version":"2.0"},"projects":[{"name":"six"}]}',
        b'{"meta":{"api-version":"1.0"},"projects":["six"]}',
        b'{"meta":{"api-version":"1.0"},"projects":[{"name":7}]}',
        b'{"meta":{"projects":[{"name":"six"}]}}',
        b'{"meta":{"api-version":"1.0"},"projects":[{"name":"\xff"}]}',
        b'{"meta":{"api-version":"1.0"},"projects":[{"name":"six"}]}{}',
        b'{"meta":{"api-version":"1.0"},"projects":[' + b"[" * 100_000,
    ],
)
def test_json_that_is_not_a_list_is_refused(tmp_path: Path, body: bytes) -> None:
    """A document that is not a project list, or an empty list, is refused."""
    with pytest.raises(InvalidPageError):
        read(body, tmp_path)


HTML = """<!DOCTYPE html><html><head><title>{title}</title></head><body>
<a href="/simple/foo-bar/">Foo.Bar</a><br/><a class="x" href='six/'>six</a>
<A HREF="https://example.org/repository/pypi/simple/zope-interface">zope.interface</A>{more}</body></html>
"""


def test_html_list_is_read(tmp_path: Path, small_blocks: None) -> None:
    """On a page that identifies itself as an index, links whose text is their project count, others do not."""
    body = HTML.format(title="Simple Index", more='<a href="../">Up</a>').encode()
    assert read(body, tmp_path, is_json=False)[0] == {"foo-bar": 0, "six": 0, "zope-interface": 0}
    assert len(read(HTML.format(title="", more="").encode(), tmp_path, is_json=False)[0]) == 3


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("behind", ["<!--TIMESTAMP 1767225600-->", "\n<!-- a -- b --->\n<!---->\n", "\n\n"])
def test_list_with_a_comment_after_its_end_is_complete(tmp_path: Path, behind: str) -> None:
    """PyTorch's index writes the time after its end tag; the list is complete all the same."""
    assert len(read((HTML.format(title="", more="") + behind).encode(), tmp_path, is_json=False)[0]) == 3


@pytest.mark.parametrize(
    "body",
    [
        HTML.format(title="Welcome", more='<a href="/login">Sign in</a>'),
        HTML.format(title="Simple Index", more="").removesuffix("</body></html>\n"),
        HTML.format(title="Simple Index", more="")[:180],
        "<html><title>Simple index</title></html>",
        "",
    ],
)
def test_html_that_is_not_a_list_is_refused(tmp_path: Path, body: str) -> None:
    """A portal's page, a truncated list and one without projects are refused."""
    with pytest.raises(InvalidPageError):
        read(body.encode(), tmp_path, is_json=False)


@pytest.mark.parametrize("part", ["<a ", "<a>", "<a b>", "<a b></a ", "<title>simple", "simple", "<a href=", "<A\n"])
def test_html_list_parser_takes_linear_time(tmp_path: Path, part: str) -> None:
    """A megabyte of unfinished tags is refused quickly, because the parser blocks the process."""
    body = HTML.format(title=part * (2**20 // len(part)), more="").encode()
    began = time.process_time()
    with contextlib.suppress(InvalidPageError):
        read(body, tmp_path, is_json=False)
    assert time.process_time() - began < 1


def test_list_memory_is_bounded(tmp_path: Path) -> None:
    """A list of 200,000 unsorted names is read within 24 MB, of which 15 MB are the largest part."""
    random_names = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    names = [f"{random_names.choice(letters)}{number:x}-project_name" for number in range(200_000)]
    path = tmp_path / "list.json"
    with path.open("w") as file:
        json.dump({"meta": META, "projects": [{"_last-serial": 25_000_000, "name": name} for name in names]}, file)
    del names
    count = 0
    with memory_below(24 * 10**6), ListedProjects(tmp_path) as listed, path.open("rb") as body:
        listed.take(ListReader(body, is_json=True))
        for _, part in listed.parts():
            count += len(part)
    assert count == listed.count == 200_000

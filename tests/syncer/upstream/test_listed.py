"""Upstream's list is read block by block, whatever its shape; what is none is refused whole."""

import contextlib
import io
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
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
def test_any_list_in_json(
    tmp_path: Path, small_blocks: None, *, entries: list[Any], indent: int | None, meta_last: bool, compact: bool
) -> None:
    """White space, other keys, nested objects, any order and any collisions: all names arrive with their serials."""
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
def test_name_listed_twice_is_a_fault_only_with_two_serials(tmp_path: Path) -> None:
    """What merged indexes list twice is one project; two serials contradict each other, and the higher one is taken."""
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
def test_bad_entry_of_a_list_costs_only_itself(
    tmp_path: Path, small_blocks: None, *, bad: list[bytes], places: list[int]
) -> None:
    """An entry that names no project, or that a strict parser refuses, is told of; all others of the list are read."""
    entries = [b'{"name":"project-%d","_last-serial":%d}' % (number, number + 1) for number in range(20)]
    for place, entry in zip(places, bad, strict=False):
        entries.insert(place, entry)
    body = b'{"meta":{"api-version":"1.0"},"projects":[%b]}' % b",".join(entries)
    found, reader, faults = read(body, tmp_path)
    assert found == {f"project-{number}": number + 1 for number in range(20)}
    assert len(faults) + len(reader.faults) == len(bad)
    assert all(fault.isprintable() for fault in faults)


def test_half_a_surrogate_pair_costs_no_list(tmp_path: Path, small_blocks: None) -> None:
    """A text that a strict parser refuses, in a key that nobody reads, costs not even its own entry."""
    projects = [{"name": f"project-{number}", "summary": "\ud83d", "score": float("nan")} for number in range(30)]
    found, reader, faults = read(json.dumps({"meta": META, "projects": projects}).encode(), tmp_path)
    assert (len(found), faults, reader.faults, reader.serial) == (30, [], [], 900)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=100)
@given(names=st.lists(NAMES, min_size=1, max_size=30), cut=st.floats(0, 0.999))
def test_list_that_breaks_off(tmp_path: Path, small_blocks: None, *, names: list[str], cut: float) -> None:
    """Cut anywhere, a list is refused."""
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
def test_no_list(tmp_path: Path, body: bytes) -> None:
    """What is no list, or an empty one, is refused as such."""
    with pytest.raises(InvalidPageError):
        read(body, tmp_path)


HTML = """<!DOCTYPE html><html><head><title>{title}</title></head><body>
<a href="/simple/foo-bar/">Foo.Bar</a><br/><a class="x" href='six/'>six</a>
<A HREF="https://example.org/repository/pypi/simple/zope-interface">zope.interface</A>{more}</body></html>
"""


def test_list_in_html(tmp_path: Path, small_blocks: None) -> None:
    """Links whose text is their project count, others do not, where the page says that it is an index."""
    body = HTML.format(title="Simple Index", more='<a href="../">Up</a>').encode()
    assert read(body, tmp_path, is_json=False)[0] == {"foo-bar": 0, "six": 0, "zope-interface": 0}
    assert len(read(HTML.format(title="", more="").encode(), tmp_path, is_json=False)[0]) == 3


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("behind", ["<!--TIMESTAMP 1767225600-->", "\n<!-- a -- b --->\n<!---->\n", "\n\n"])
def test_list_with_a_comment_behind_its_end(tmp_path: Path, behind: str) -> None:
    """PyTorch's index writes the time behind its end; the list is whole all the same."""
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
def test_no_list_in_html(tmp_path: Path, body: str) -> None:
    """A portal's page, one that breaks off and one without projects are none."""
    with pytest.raises(InvalidPageError):
        read(body.encode(), tmp_path, is_json=False)


@pytest.mark.parametrize("part", ["<a ", "<a>", "<a b>", "<a b></a ", "<title>simple", "simple", "<a href=", "<A\n"])
def test_html_that_keeps_nobody_busy(tmp_path: Path, part: str) -> None:
    """A megabyte of what hardly begins is found out in no time: nothing else happens in the process meanwhile."""
    body = HTML.format(title=part * (2**20 // len(part)), more="").encode()
    began = time.process_time()
    with contextlib.suppress(InvalidPageError):
        read(body, tmp_path, is_json=False)
    assert time.process_time() - began < 1


def test_memory(tmp_path: Path) -> None:
    """A list of 200,000 names in no order at all is read within 24 MB, and 15 MB of it are the largest part."""
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

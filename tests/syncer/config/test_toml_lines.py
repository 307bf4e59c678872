"""Each key of a TOML document is found in its line."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_syncer.config.toml.lines import Path, is_deeper, locate_keys
from syncer.site import memory_below

law = settings(max_examples=60)

# What TOML has: each value is written over as many lines as its form allows.
scalars = st.sampled_from(
    (
        '"a # ] } = [ b"',
        "'c:\\path # \"x'",
        '"quote \\" and \\\\"',
        "1",
        "-1.5e3",
        "true",
        "2026-01-01",
        "2026-01-01 00:00:00.5+01:00",
        "0xff",
        '"""\n# no comment\nkey = 1 ""\n"""',
        "'''\n[no.table]\n'''",
        '""""quoted""""',
    )
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(
            lambda items: "[ # list\n" + "".join(f"  {item}, # item\n" for item in items) + "]"
        )
        | st.lists(inner.filter(lambda text: "\n" not in text), max_size=2).map(
            lambda items: "{ " + ", ".join(f"k{number} = {item}" for number, item in enumerate(items)) + " }"
        )
    ),
    max_leaves=6,
)
keys = st.sampled_from(("a", "b-1", '"quoted.key"', "'single'", "3", "c_c"))
statements = st.tuples(keys, keys | st.none(), values)
tables = st.tuples(st.sampled_from(("[{}]", "[ {} ] # comment", "[[{}]]")), st.lists(statements, max_size=3))


def document(parts: list[tuple[str, list[tuple[str, str | None, str]]]]) -> str:
    """Return a document of tables with distinct names, or of the same ``[[table]]`` again and again."""
    lines = ["# a comment = [", ""]
    for number, (header, pairs) in enumerate(parts):
        lines.append(header.format("many" if "[[" in header else f"table{number}.sub"))
        lines += [f"{key}{number} = {value}" if not sub else f"{key} . {sub} = {value}" for key, sub, value in pairs]
        lines.append("")
    return "\n".join(lines)


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of each table, key and item."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*path, key)
        yield from paths(inner, (*path, key))


@law
@given(st.lists(tables, max_size=4))
def test_each_key_has_a_line(parts: list[tuple[str, list[tuple[str, str | None, str]]]]) -> None:
    """Each key that tomllib reads has a line, and nothing else has one."""
    text = document(parts)
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # the same key twice
    assert set(locate_keys(text)) == set(paths(read))


@law
@given(
    st.sampled_from(("marked", "'marked'", '"marked"')),
    st.lists(tables, max_size=3),
    st.lists(tables, max_size=2),
    values,
)
def test_key_is_found_in_its_line(marker: str, before: list[Any], after: list[Any], value: str) -> None:
    """A key is found in the line where it is written, whatever surrounds it."""
    head, tail = document(before), document(after).replace("table", "other")
    text = f"{head}\n[here]\nfirst = {value}\n{marker} = {value}\n{tail}"
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # the same key twice
    line = len(f"{head}\n[here]\nfirst = {value}\n".splitlines()) + 1
    assert locate_keys(text)["here", "marked"] == line


def test_items_and_inline_tables_have_lines() -> None:
    """An item of ``projects`` and the keys inside it have their lines."""
    text = """[mirror]
projects = [
  "six", "idna",  # two in a line
  { name = "numpy", latest = 0 },

  "pip",
]
removal.grace = "1h"
"""
    found = locate_keys(text)
    numbers = [found["mirror", "projects", number] for number in range(4)]
    assert numbers == [3, 3, 4, 6]
    assert found["mirror", "projects", 2, "latest"] == 4
    assert found["mirror", "removal", "grace"] == 8
    assert found["mirror",] == 1


@pytest.mark.parametrize("quotes", ['"', '"""', "'", "'''"])
@pytest.mark.parametrize("end", [True, False], ids=["whole", "cut"])
def test_long_string_costs_no_memory(quotes: str, end: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    """A string of any length, whole or cut off, takes little more memory than itself."""
    text = f"a = {quotes}" + "x\\\\ " * 250_000 + (quotes if end else "")

    with memory_below(4_000_000):
        assert not is_deeper(text, 100)

"""What the metadata of wheels and sdists says about requirements."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_syncer.closure.metadata import (
    MAX_LINES,
    parse_metadata,
    parse_sdist_metadata,
)
from mirror_syncer.model.requirement_lines import RequirementLines

WHEEL = b"""\
Metadata-Version: 2.1
Name: demo
Version: 1.0
Author: J\xe9r\xf4me
Requires-Python: >=3.9
Provides-Extra: X_Y
Provides-Extra: x-y
Provides-Extra: z
Requires-Dist: a (>=1)
Requires-Dist: b>=1.*
requires-dist: c; extra == 'x-y'

Requires-Dist: not-me
"""


def pkg_info(version: str | None, *fields: str) -> bytes:
    """Return a ``PKG-INFO`` with one requirement."""
    first = [f"Metadata-Version: {version}"] if version else []
    return "\n".join([*first, "Name: demo", "Version: 1.0", *fields, "Requires-Dist: a>=1", "", "Text."]).encode()


def test_metadata_of_a_wheel_is_read_as_text() -> None:
    """The lines are kept as they are, in order, wrong ones too; the description is none, and Latin-1 no obstacle."""
    assert parse_metadata(WHEEL) == RequirementLines(
        requires_dist=("a (>=1)", "b>=1.*", "c; extra == 'x-y'"), extras=("x-y", "z"), requires_python=">=3.9"
    )


@pytest.mark.parametrize("version", ["1.0", "2.1", "2.4", "2.9", "3.0", "9", "banana", None])
def test_metadata_version_of_a_wheel_does_not_matter(version: str | None) -> None:
    """Installers read a wheel's metadata of every version, so its lines are final."""
    lines = parse_metadata(pkg_info(version, "Dynamic: Requires-Dist"))
    assert (lines.requires_dist, lines.is_dynamic, lines.build_requires) == (("a>=1",), False, None)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_metadata_is_read_with_any_newline_and_mark(newline: bytes, start: bytes) -> None:
    """Newlines of any system, and a byte order mark, change nothing."""
    assert parse_metadata(start + WHEEL.replace(b"\n", newline)) == parse_metadata(WHEEL)


def test_repeated_requires_python_is_the_first() -> None:
    """pip takes the first where a field is stated twice; without a value there is none."""
    assert parse_metadata(b"Requires-Python: >=3.9\nRequires-Python: >=3.10\n").requires_python == ">=3.9"
    assert parse_metadata(b"Requires-Python:\n").requires_python is None
    assert parse_metadata(b"Name: demo\n").requires_python is None


def test_folded_line_keeps_its_newline() -> None:
    """A line that is folded is kept as it is: to pip it is none, since it has a newline."""
    lines = parse_metadata(
        b"Requires-Dist: a\n  >=1\nClassifier: x\n  folded\nRequires-Dist: b\nno field\nRequires-Dist: c\n"
    )
    assert lines.requires_dist == ("a\n  >=1", "b")


def test_wrong_encoding_spoils_one_line() -> None:
    """A line that is no UTF-8, or has a NUL that no database stores, does not take the others with it."""
    lines = parse_metadata(b"Requires-Dist: a\xff\nRequires-Dist: b\0\nRequires-Dist: c\n")
    assert lines.requires_dist == ("a\N{REPLACEMENT CHARACTER}", "b\N{REPLACEMENT CHARACTER}", "c")


@pytest.mark.proves("security/project-owners")
def test_long_description_is_not_read() -> None:
    """A description of 50 MB costs nothing, since the fields end before it."""
    assert parse_metadata(WHEEL + b"text " * 10_000_000) == parse_metadata(WHEEL)


@pytest.mark.parametrize(
    "more",
    [
        b"Keywords: " + b"x" * 5_000_000 + b"\nRequires-Dist: c\n",
        b"Requires-Dist: " + b"c" * 5_000_000,
        b"Dynamic: x\n" * 50_000,
    ],
)
def test_fields_that_are_too_long_are_a_guess(more: bytes) -> None:
    """Fields of many megabytes are read in part, up to a whole line, and marked as incomplete."""
    body = b"Metadata-Version: 2.2\nRequires-Dist: a\nRequires-Dist: b\n" + more
    assert parse_metadata(body).is_dynamic
    assert parse_metadata(body).requires_dist == ("a", "b")
    assert parse_sdist_metadata(body, None).is_dynamic


@pytest.mark.proves("security/project-owners")
def test_a_hundred_thousand_fields_are_read_once() -> None:
    """Any number of different fields, or spellings of one, is read in one pass."""
    unknown = b"".join(b"field-%d: x\n" % index for index in range(100_000))
    spelt = b"".join(
        b"".join(
            bytes([letter ^ 32 if index >> bit & 1 and letter != 45 else letter])
            for bit, letter in enumerate(b"requires-dist")
        )
        + b": a%d\n" % index
        for index in range(9_000)
    )
    assert len(parse_metadata(unknown + spelt).requires_dist) == 9_000


def test_too_many_requirements_are_bounded() -> None:
    """Of a hundred thousand requirements one more is kept than are read: it shows that there are too many."""
    body = b"".join(b"Requires-Dist: a%d\n" % index for index in range(100_000))
    assert len(parse_metadata(body).requires_dist) == MAX_LINES + 1


@pytest.mark.parametrize(
    ("version", "field", "is_dynamic"),
    [
        ("2.2", "", False),
        ("2.6", "", False),
        ("2.10", "", False),
        ("1.2", "", True),
        ("2.1", "", True),
        ("3.0", "", True),
        (None, "", True),
        ("banana", "", True),
        ("2.2", "Dynamic: Requires-Dist", True),
        ("2.2", "Dynamic: requires-dist", True),  # setuptools writes it so
        ("2.4", "Dynamic: Provides-Extra", True),
        ("2.2", "Dynamic: Version", False),
        ("2.2", "Dynamic: Classifier", False),
    ],
)
def test_sdist_is_final_from_version_2_2_unless_marked(version: str | None, field: str, is_dynamic: bool) -> None:  # noqa: FBT001 - of a table
    """The lines of an sdist are final if its metadata is of version 2.2 or later, and does not mark them."""
    lines = parse_sdist_metadata(pkg_info(version, *filter(None, [field])), None)
    assert (lines.requires_dist, lines.is_dynamic) == (("a>=1",), is_dynamic)
    assert lines.build_requires == ("setuptools>=40.8.0",)


STATIC = b"""
[build-system]
requires = ["flit_core >=3.2,<4"]

[project]
name = "demo"
requires-python = ">=3.10"
dependencies = ["b>=2", "c; python_version < '3.12'"]
dynamic = ["version"]

[project.optional-dependencies]
X_Y = ["d[e]>=1; os_name == 'nt' or os_name == 'posix'", "f @ https://example.org/f.whl"]
"""


@pytest.mark.parametrize("version", ["2.1", "2.4"])
@pytest.mark.parametrize("field", ["Summary: x", "Dynamic: requires-dist"])
def test_static_project_table_comes_before_pkg_info(version: str, field: str) -> None:
    """What ``[project]`` states is final, whatever ``PKG-INFO`` says, as for uv; extras become markers."""
    assert parse_sdist_metadata(pkg_info(version, field), STATIC) == RequirementLines(
        requires_dist=(
            "b>=2",
            "c; python_version < '3.12'",
            """d[e]>=1 ; (os_name == 'nt' or os_name == 'posix') and extra == "x-y\"""",
            'f @ https://example.org/f.whl ; extra == "x-y"',
        ),
        extras=("x-y",),
        requires_python=">=3.10",
        build_requires=("flit_core >=3.2,<4",),
    )


@pytest.mark.parametrize(
    "change",
    [
        (b'dynamic = ["version"]', b'dynamic = ["dependencies"]'),
        (b'dynamic = ["version"]', b'dynamic = ["optional-dependencies"]'),
        (b'dynamic = ["version"]', b"dynamic = 1"),
        (b'name = "demo"', b""),
        (b'["b>=2", ', b'[1, "b>=2", '),
        (b"X_Y = [", b"'-' = ["),
        (b"[project]", b"[project"),
        (b"[project]", b"[tool.project]"),
        (b"flit_core", b"\xff"),
    ],
)
def test_dynamic_or_wrong_project_table_leaves_pkg_info(change: tuple[bytes, bytes]) -> None:
    """A table that leaves requirements to the build, or is wrong, is passed over."""
    assert parse_sdist_metadata(pkg_info("2.1"), STATIC.replace(*change)).requires_dist == ("a>=1",)
    assert parse_sdist_metadata(pkg_info("2.1"), STATIC.replace(*change)).is_dynamic


def test_project_table_without_dependencies_needs_nothing() -> None:
    """A ``[project]`` that neither lists dependencies nor calls them dynamic has none."""
    lines = parse_sdist_metadata(pkg_info("2.1"), b'[project]\nname = "demo"\n')
    assert (lines.requires_dist, lines.extras, lines.is_dynamic) == ((), (), False)


@pytest.mark.parametrize(
    ("pyproject", "requires"),
    [
        (b'[build-system]\nrequires = ["hatchling", "hatch-vcs>=0.3"]\n', ("hatchling", "hatch-vcs>=0.3")),
        (b"[build-system]\nrequires = []\n", ()),
        (b'[build-system]\nbuild-backend = "x"\n', ("setuptools>=40.8.0",)),
        (b"[tool.black]\n", ("setuptools>=40.8.0",)),
        (b"[build-system]\nrequires = [1]\n", ("setuptools>=40.8.0",)),
        (b"build-system = 1\n", ("setuptools>=40.8.0",)),
        (b"[build-system", ("setuptools>=40.8.0",)),
        (b"a = " + b"[" * 50_000, ("setuptools>=40.8.0",)),
        (b"#" * 2_000_000, ("setuptools>=40.8.0",)),
        (b"", ("setuptools>=40.8.0",)),
        (None, ("setuptools>=40.8.0",)),
    ],
)
def test_build_requirements_are_pyprojects_or_the_default(pyproject: bytes | None, requires: tuple[str, ...]) -> None:
    """A build needs what ``[build-system]`` requires; setuptools where it is missing or cannot be read, as for pip."""
    assert parse_sdist_metadata(b"", pyproject).build_requires == requires


@pytest.mark.proves("security/project-owners")
@settings(max_examples=200)
@given(
    st.one_of(st.binary(max_size=200), st.text(alphabet="RequisDtPvdExa-ynhMoV: \r\n\t\0é2.1;=").map(str.encode)),
    st.one_of(st.none(), st.binary(max_size=100), st.text(alphabet="[]project.\"'=\n{}dn,").map(str.encode)),
)
def test_any_metadata_is_read(body: bytes, pyproject: bytes | None) -> None:
    """Whatever a stranger uploads: nothing is raised, and what is read can be stored in a database."""
    for lines in (parse_metadata(body), parse_sdist_metadata(body, pyproject)):
        stored = [*lines.requires_dist, *lines.extras, lines.requires_python or "", *(lines.build_requires or ())]
        assert "\0" not in "".join(stored)
        "".join(stored).encode()

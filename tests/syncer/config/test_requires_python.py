"""The two readings of requires-python: pip's and uv's."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from mirror_syncer.config.machines.requires_python import MAX_LENGTH, read_requires_python

law = settings(max_examples=150)
MINORS = frozenset((3, minor) for minor in (9, 10, 11, 12))
NONE: set[int] = set()
ALL = {9, 10, 11, 12}

releases = st.sampled_from(["3", "3.9", "3.10", "3.11", "3.11.0", "3.11.4", "3.11.99", "3.12", "3.12.0rc1", "4", "2.7"])
specifiers = st.one_of(
    st.builds("{}{}".format, st.sampled_from([">=", ">", "<=", "<", "==", "!=", "==="]), releases),
    st.builds("{}{}.*".format, st.sampled_from(["==", "!="]), st.sampled_from(["3", "3.10", "3.11", "3.11.2"])),
    st.builds("~={}".format, st.sampled_from(["3.9", "3.11", "3.11.3"])),
)
lines = st.lists(specifiers, min_size=1, max_size=4).map(",".join)


@pytest.mark.parametrize(
    ("text", "pip", "uv"),
    [
        ("", ALL, ALL),
        (">=3.8", ALL, ALL),
        (">=3.11", {11, 12}, {11, 12}),
        (">=3.11.4", {11, 12}, {11, 12}),  # 3.11.4 is a 3.11
        (">3.11", {11, 12}, {11, 12}),  # so is 3.11.1
        ("<3.11.0", {9, 10}, ALL),
        (">=3.8,<3.11", {9, 10}, ALL),
        (">=3.10,<3.11", {10}, {10, 11, 12}),
        ("==3.10.*", {10}, {10, 11, 12}),
        ("~=3.10", {10, 11, 12}, {10, 11, 12}),
        ("~=3.10.2", {10}, {10, 11, 12}),
        ("!=3.10.*", {9, 11, 12}, ALL),
        (">=3.10,!=3.10.*", {11, 12}, {11, 12}),
        ("!=3.11.0,!=3.11.1", ALL, ALL),
        ("==3.11", {11}, {11, 12}),  # 3.11.0 alone
        (">=3.12.0rc1", {12}, {12}),
        (">=2.7,!=3.0.*,!=3.1.*", ALL, ALL),
        ("<3", NONE, ALL),
        (">=3.11,<3.10", NONE, ALL),  # uv finds no lower bound where nothing matches
        (">=4", NONE, NONE),
        ("banana", ALL, NONE),
        ("3.11", ALL, NONE),
        ("^3.11", ALL, NONE),
        (">=3.11.*", ALL, {11, 12}),
        (">=3.11,", {11, 12}, {11, 12}),
        (">=3.11<4", ALL, {11, 12}),
        (">=3.11 <4", ALL, NONE),
        (">= '3.11'", ALL, {11, 12}),
        ("!=3.0*,>=3.11", ALL, {11, 12}),
    ],
)
def test_requires_python_is_read_as_each_installer_reads_it(text: str, pip: set[int], uv: set[int]) -> None:
    """pip obeys the whole specifier, uv its lower bound; pip ignores one that cannot be parsed, uv mends some."""
    readings = read_requires_python(text, MINORS)
    assert {minor for _, minor in readings.pip} == pip
    assert {minor for _, minor in readings.uv} == uv


@law
@given(lines)
def test_pip_reading_admits_what_any_patch_release_admits(text: str) -> None:
    """A minor version is admitted if, and only if, the specifier matches one of its patch releases."""
    specifier = SpecifierSet(text)
    matched = {(major, minor) for major, minor in MINORS if any(specifier.filter(patches(major, minor)))}
    assert read_requires_python(text, MINORS).pip == matched


@law
@given(lines)
def test_first_patch_release_is_judged_by_itself(text: str) -> None:
    """Whether the first patch release of a minor version may install a file depends on that release alone."""
    specifier = SpecifierSet(text)
    matched = {(major, minor) for major, minor in MINORS if specifier.contains(f"{major}.{minor}.0", prereleases=True)}
    assert read_requires_python(text, MINORS).first == matched


@law
@given(lines)
def test_uv_reading_admits_no_less_than_pips_and_has_no_upper_bound(text: str) -> None:
    """uv's reading contains pip's, and with a minor version each later one."""
    readings = read_requires_python(text, MINORS)
    assert readings.uv >= readings.pip
    assert all(later in readings.uv for minor in readings.uv for later in MINORS if later > minor)


@law
@given(st.one_of(st.text(max_size=40), st.text(alphabet="<>=!~.*,0123 rcdev+'\"-x", max_size=40)))
def test_any_text_is_read(text: str) -> None:
    """Whatever upstream writes, it is read without an error."""
    assert read_requires_python(text, MINORS).pip <= MINORS


def test_overlong_text_is_not_read() -> None:
    """A text much longer than any real one costs no time: every version may install the file."""
    text = ",".join(["!=3.11.*"] * (MAX_LENGTH // 5))
    assert read_requires_python(text, MINORS) == (MINORS, MINORS, MINORS)


def patches(major: int, minor: int) -> list[str]:
    """Return the patch releases that there may ever be."""
    return [f"{major}.{minor}.{patch}" for patch in range(100)]

"""Whatever a project's name becomes, it is one name, and safe as a path component."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_contract import parse_project_name
from mirror_contract.names import LONGEST

law = settings(max_examples=150)
NORMAL = re.compile(r"[a-z0-9](-?[a-z0-9])*")
spelled = st.from_regex(re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,30}[A-Za-z0-9])?"), fullmatch=True)
# Letters that a careless parser lets through: separators, controls, other alphabets' letters and digits.
tricky = st.text(st.sampled_from("aZ09._-/\\~ \x00\n\t%éıßK１\u200b\ud800"), max_size=12)


@law
@given(tricky | st.text(max_size=300) | spelled)
def test_name_is_safe_or_refused(text: str) -> None:
    """A name that is accepted holds nothing but a-z, 0-9 and single hyphens inside, and stays below any directory."""
    try:
        name = parse_project_name(text)
    except ValueError:
        return
    assert NORMAL.fullmatch(name)
    assert len(name.encode()) <= LONGEST
    assert (Path("/srv/simple") / name).parent == Path("/srv/simple")


@law
@given(spelled)
def test_normalizing_twice_is_normalizing_once(text: str) -> None:
    """A normalized name is its own normalized name (PEP 503)."""
    name = parse_project_name(text)
    assert parse_project_name(name) == name


@law
@given(spelled, st.sampled_from(("-", "_", ".", "-_.", "--")))
def test_spellings_are_one_project(text: str, separator: str) -> None:
    """Case, and which and how many separators stand between letters, make no other project (PEP 503)."""
    name = parse_project_name(text)
    assert parse_project_name(name.replace("-", separator).upper()) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "a\0",
        "a\n",
        "-a",
        "a-",
        ".a",
        "a b",
        "%2e%2e",
        "\u212aelvin",
        "\uff41",
        "é",
    ],
)
def test_what_is_no_name(text: str) -> None:
    """What PEP 508 calls no name is refused, by a sentence that names it."""
    with pytest.raises(ValueError, match="is not a project name: a-z, 0-9 and, inside") as refusal:
        parse_project_name(text)
    assert repr(text) in str(refusal.value)


def test_longest_name() -> None:
    """A name may be so long that a page's temporary still fits beside it, and not a character longer."""
    assert len(parse_project_name("a" * LONGEST)) == LONGEST
    with pytest.raises(ValueError, match=f"{LONGEST + 1} characters, at most {LONGEST}"):
        parse_project_name("a" * (LONGEST + 1))

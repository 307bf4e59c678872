"""Project names: each has one normalized form, which is safe as a path component."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_contract import parse_project_name
from mirror_contract.names import MAX_NAME_LENGTH

law = settings(max_examples=150)
NORMAL = re.compile(r"[a-z0-9](-?[a-z0-9])*")
spelled = st.from_regex(re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,30}[A-Za-z0-9])?"), fullmatch=True)
# Letters that a careless parser lets through: separators, controls, other alphabets' letters and digits.
tricky = st.text(st.sampled_from("aZ09._-/\\~ \x00\n\t%éıßK１\u200b\ud800"), max_size=12)


@law
@given(tricky | st.text(max_size=300) | spelled)
def test_name_is_safe_or_refused(text: str) -> None:
    """An accepted name contains only a-z, 0-9 and single hyphens inside, and cannot leave a directory."""
    try:
        name = parse_project_name(text)
    except ValueError:
        return
    assert NORMAL.fullmatch(name)
    assert len(name.encode()) <= MAX_NAME_LENGTH
    assert (Path("/srv/simple") / name).parent == Path("/srv/simple")


@law
@given(spelled)
def test_normalizing_is_idempotent(text: str) -> None:
    """Normalizing a normalized name does not change it (PEP 503)."""
    name = parse_project_name(text)
    assert parse_project_name(name) == name


@law
@given(spelled, st.sampled_from(("-", "_", ".", "-_.", "--")))
def test_spellings_are_one_project(text: str, separator: str) -> None:
    """Case, and the kind and number of separators, do not make another project (PEP 503)."""
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
def test_invalid_name_is_refused(text: str) -> None:
    """A name that PEP 508 forbids is refused with a message that repeats it."""
    with pytest.raises(ValueError, match="is not a project name: use a-z and 0-9") as refusal:
        parse_project_name(text)
    assert repr(text) in str(refusal.value)


def test_name_length_is_limited() -> None:
    """A name of the maximum length leaves room for a page's temporary file; one more character is refused."""
    assert len(parse_project_name("a" * MAX_NAME_LENGTH)) == MAX_NAME_LENGTH
    with pytest.raises(ValueError, match=f"{MAX_NAME_LENGTH + 1} characters, at most {MAX_NAME_LENGTH}"):
        parse_project_name("a" * (MAX_NAME_LENGTH + 1))

"""Requests to add a line."""

import pytest
from pydantic import ValidationError

from mirror_contract import AddedLineRequest
from mirror_contract.added_line import MAX_LINE_LENGTH


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize(
    ("line", "because", "place"),
    [
        ("", "why", "line"),
        (" ", "why", "line"),
        ("six\nidna", "why", "line"),
        ("a" * (MAX_LINE_LENGTH + 1), "why", "line"),
        ("six", "", "because"),
        ("six", "\t", "because"),
        ("six", "a\x1b[2Jb", "because"),
        ("six", "a\u202eb", "because"),
        ("six", "a\u2028b", "because"),
        ("six", "x" * 501, "because"),
    ],
)
def test_text_that_controls_a_terminal_or_is_too_long_is_refused(line: str, because: str, place: str) -> None:
    """A line and its reason are one printable line each, of bounded length, and neither is empty."""
    with pytest.raises(ValidationError) as refused:
        AddedLineRequest(line=line, because=because)
    assert [error["loc"] for error in refused.value.errors()] == [(place,)]


def test_request_is_stripped() -> None:
    """Spaces around line and reason do not count."""
    request = AddedLineRequest(line=" six>=1 ", because=" the shop ")
    assert (request.line, request.because) == ("six>=1", "the shop")

"""Text for people: sizes."""

import pytest

from mirror_contract.text import format_bytes


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_951, "1.0 MB"),
        (5_600_000_000, "5.6 GB"),
        (40 * 10**12, "40.0 TB"),
        (5 * 10**18, "5,000.0 PB"),
    ],
)
def test_size_is_shown_in_the_unit_that_suits_it(size: int, text: str) -> None:
    """A size is shown with one digit after the point, and never as a thousand of its unit."""
    assert format_bytes(size) == text

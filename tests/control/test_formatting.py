"""Times as people read them."""

from datetime import UTC, datetime, timedelta

import pytest

from mirror_control.client.formatting import format_deadline, format_moment

NOW = datetime(2026, 12, 1, 3, 32, 58, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (NOW + timedelta(hours=23, minutes=5), "in 23 h at the latest"),
        (NOW, "by the next run"),
        (NOW - timedelta(seconds=4), "by the next run"),
        (None, "by the next run"),
    ],
)
def test_deadline_that_is_over_is_not_told_as_a_time(moment: datetime | None, text: str) -> None:
    """What was due seconds ago is done by the next run; nothing "will be deleted 4 s ago"."""
    assert format_deadline(moment, now=NOW) == text


@pytest.mark.parametrize(
    ("second", "text"), [(0, "03:32 UTC"), (0.000001, "03:33 UTC"), (1, "03:33 UTC"), (59.9, "03:33 UTC")]
)
def test_moment_has_come_by_the_minute_that_is_told(second: float, text: str) -> None:
    """A file that waits until 03:32:01 is told to wait until 03:33, in the table as in its reason."""
    moment = NOW.replace(second=0) + timedelta(seconds=second)
    assert format_moment(moment) == f"2026-12-01 {text}"

"""Files that are not here, by release and reason."""

from datetime import UTC, datetime, timedelta

from mirror_contract import Choice, ProjectFile
from mirror_control.ui.releases import group_absent

NOON = datetime(2026, 12, 9, 12, tzinfo=UTC)


def waiting(name: str, until: datetime | None) -> ProjectFile:
    """Return a file of numpy 2.5.4 that waits."""
    reason = f"uploaded some time; this mirror waits 60 days, until {until}"
    return ProjectFile(filename=name, version="2.5.4", decision=Choice.HOLD, reason=reason, until=until)


def test_files_that_wait_until_one_day_are_one_group() -> None:
    """A release of 70 wheels, uploaded within an hour, is one row with the time of the first, and names all of them."""
    files = [waiting(f"numpy-2.5.4-{number}.whl", NOON - timedelta(minutes=number)) for number in range(70)]
    [group] = group_absent(files)
    assert group.until == NOON - timedelta(minutes=69)
    assert group.reason.endswith(str(group.until))
    assert sorted(group.filenames) == sorted(file.filename for file in files)


def test_wheel_that_waits_for_days_longer_has_its_own_group() -> None:
    """A wheel that is added to a release later is no part of the others' date, nor is one without a date."""
    files = [waiting("a", NOON), waiting("b", NOON + timedelta(days=3)), waiting("c", None)]
    assert [group.filenames for group in group_absent(files)] == [["a"], ["b"], ["c"]]

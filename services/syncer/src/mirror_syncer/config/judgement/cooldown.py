"""The cooldown of a project's files: which of them are too young now, and until when."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from packaging.version import Version

from mirror_syncer.config.policy.age import EXPECTED_WITHIN, Age, Exemption, format_duration, format_moment
from mirror_syncer.model.decision import Hold
from mirror_syncer.model.page import File, names

_WHEEL = ".whl"
_UNKNOWN = "9999"
"""The upload time of a file that has none, and the end of all time: a text after all others."""


class Cooldown:
    """
    Says which files wait.

    Args:
        now: seconds since the epoch.
    """

    def __init__(self, age: Age, exemptions: Sequence[Exemption], *, now: int) -> None:
        self._age = age
        self._exemptions = exemptions
        self._now = now
        self._min = int(age.min.total_seconds())
        # Upload times are in UTC and of one form, so their texts compare like times. Fractions are cut off, which makes
        # a file up to a second older than it is; "<" on whole seconds gives that second back.
        self._mature_before = _second(now - self._min)
        self._not_after = _UNKNOWN if age.not_after is None else _second(int(age.not_after.timestamp()))
        self._all_before = min(self._mature_before, self._not_after)

    def young(self, files: Iterable[File]) -> list[File]:
        """Return the files that are too young, or of unknown age: of nearly all pages none."""
        before = self._all_before
        return [file for file in files if not (file.upload_time or _UNKNOWN) < before]

    def held(
        self, release: Sequence[File], *, passing: Collection[str] = (), published: Mapping[str, File]
    ) -> list[Hold]:
        """
        Return the files of a release that wait, unless it is exempt; a source distribution waits for its wheels.

        Args:
            release: its files.
            passing: names of files that do not wait, whatever their age is.
            published: the published files by name.
        """
        files = [file for file in release if file.filename not in passing]
        holds = [self._hold(file) for file in files if self._is_young(file)]
        if holds and len(holds) < len(files):
            young = {hold.file.filename for hold in holds}
            wheels = [file for file in release if file.filename.endswith(_WHEEL)]
            # Where a wheel can be installed, clients do not build the sdist.
            if wheels and all(file.filename in young for file in wheels):
                # An sdist that is published without a wheel stays.
                was_published = any(names(published, file) for file in wheels)
                rest = (file for file in files if file.filename not in young)
                holds += self._sdists_that_wait(
                    (file for file in rest if was_published or not names(published, file)),
                    [hold for hold in holds if hold.file.filename.endswith(_WHEEL)],
                )
        return holds

    def exemption(self, version: Version | None) -> Exemption | None:
        """Return the exemption in force for a release, the longest of several; None if it has to wait."""
        found = [one for one in self._exemptions if one.holds(version, now=self._now)]
        return max(found, key=lambda one: (one.until is None, one.until or 0), default=None)

    def _is_young(self, file: File) -> bool:
        time = file.upload_time
        if time is None:
            return self._age.hold_unknown
        return not time[:19] < self._mature_before or not time[:19] < self._not_after

    def _hold(self, file: File) -> Hold:
        if file.upload_time is None:
            return Hold(
                file, None, 'upstream does not say when it was uploaded; [age] unknown = "publish" publishes it'
            )
        uploaded = int(datetime.fromisoformat(file.upload_time[:19] + "+00:00").timestamp())
        fact = f"uploaded {format_moment(uploaded - uploaded % 60)}"
        if not file.upload_time[:19] < self._not_after and self._age.not_after is not None:
            brake = format_moment(int(self._age.not_after.timestamp()))
            return Hold(file, None, f"{fact}; this mirror publishes nothing uploaded after {brake} ([age] not_after)")
        until = uploaded + self._min + 1
        wait = format_duration(self._age.min)
        return Hold(file, until, f"{fact}; this mirror waits {wait}, until {format_moment(until)}")

    def _sdists_that_wait(self, mature: Iterable[File], wheels: Sequence[Hold]) -> Iterator[Hold]:
        """
        Yield the sdists to hold, although they are mature, because clients would build them instead of the held wheels.

        Only a wheel that follows its sdist soon holds it. One that is added years later does not: clients have built
        that sdist ever since.
        """
        first = min(wheels, key=lambda hold: (hold.until is None, hold.until or 0))
        for file in mature:
            if file.upload_time is None or first.file.upload_time is None:
                continue
            if _moment(first.file.upload_time) - _moment(file.upload_time) <= EXPECTED_WITHIN:
                yield Hold(file, first.until, f"it waits for the wheel {first.file.filename}: {first.reason}")


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    """Return the whole second in the form of an upload time."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}".rjust(19, "0")
    except (ValueError, OverflowError):
        return "" if seconds < 0 else "9999"


def _moment(upload_time: str) -> datetime:
    return datetime.fromisoformat(upload_time)

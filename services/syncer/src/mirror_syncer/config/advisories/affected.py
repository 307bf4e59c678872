"""The versions that a record affects: a list, and intervals made of the events of its ranges."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from packaging.version import Version

_FROM_THE_START = "0"
# The order at one version: an interval that begins there counts as begun, and ``fixed`` excludes what
# ``last_affected`` would include.
_INTRODUCED, _FIXED, _LAST_AFFECTED, _LIMIT = range(4)
_KINDS = {"introduced": _INTRODUCED, "fixed": _FIXED, "last_affected": _LAST_AFFECTED, "limit": _LIMIT}
_NO_LIMIT = "*"
MAX_VERSION_LENGTH = 255
"""As part of a file name."""


class Bounds(NamedTuple):
    """An interval whose bounds are parsed."""

    first: Version | None
    end: Version | None
    includes_end: bool

    def contains(self, version: Version) -> bool:
        """Return whether a version is in the interval."""
        if self.first is not None and version < self.first:
            return False
        return self.end is None or version < self.end or (self.includes_end and version == self.end)


class Interval(NamedTuple):
    """Consecutive affected versions; a bound that is None is open. It holds text, since 25,000 records are kept."""

    first: str | None
    """The first affected version."""
    end: str | None
    """The first version after it that is not affected; or, if ``includes_end``, the last affected one."""
    includes_end: bool = False

    @property
    def bounds(self) -> Bounds:
        """The interval with its versions parsed."""
        first, end = (None if text is None else parse_version(text) for text in (self.first, self.end))
        return Bounds(first, end, self.includes_end)


class Intervals:
    """The union of intervals; a record may have 30,000, so a version is looked up by bisection."""

    def __init__(self, intervals: Iterable[Interval]) -> None:
        self._apart = _merge(interval.bounds for interval in intervals)
        self._firsts = [bounds.first for bounds in self._apart if bounds.first is not None]
        self._open = len(self._apart) - len(self._firsts)
        """1 if the first of them has no start."""

    def __contains__(self, version: Version) -> bool:
        at = bisect_right(self._firsts, version) + self._open - 1
        return at >= 0 and self._apart[at].contains(version)


class Range(NamedTuple):
    """What the events of one range say."""

    intervals: tuple[Interval, ...]
    fixed: tuple[str, ...]
    """Versions that fix the problem."""
    unknown: str | None = None
    """An event that is not a version. Intervals that depend on it are missing, so that they affect nothing."""


class _Event(NamedTuple):
    version: Version | None
    """None: the start of all versions."""
    kind: int
    text: str

    @property
    def key(self) -> tuple[bool, Version, int]:
        """The event's place in the order of versions."""
        return self.version is not None, self.version or _ANY_VERSION, self.kind


_ANY_VERSION = Version("0")  # any will do: only events without a version compare it


def parse_version(text: str) -> Version | None:
    """Return a version, or None for a text that is not one, or that no file name can contain."""
    return _parse_version(text) if len(text) <= MAX_VERSION_LENGTH else None  # the cache must keep no megabytes


@lru_cache(4_096)  # aliases name the same versions, and releases of one project come one after another
def _parse_version(text: str) -> Version | None:
    try:
        return Version(text)
    except ValueError:  # InvalidVersion, or a number of more digits than Python converts
        return None


def read_range(events: Sequence[tuple[str, str]]) -> Range:
    """
    Return the intervals of a range, by the algorithm of the OSV schema.

    Args:
        events: the kind and the version of each, in any order; an event of another kind is unknown.
    """
    parsed, unknown = list[_Event](), None
    groups: list[list[_Event | None]] = []  # each from its ``introduced`` on, in the given order; None: unknown
    for kind, text in events:
        number = _KINDS.get(kind)
        if number == _LIMIT and text == _NO_LIMIT:
            continue
        event = None if number is None else _parse_event(number, text)
        unknown = unknown if event is not None else text
        if number == _INTRODUCED or not groups:
            groups.append([])
        groups[-1].append(event)
        if event is not None:
            parsed.append(event)
    if unknown is not None:
        parsed = _known_events(parsed, groups)
    fixed = tuple(dict.fromkeys(event.text for event in parsed if event.kind == _FIXED))
    return Range(_intervals(sorted(parsed, key=lambda event: event.key)), fixed, unknown)


def _parse_event(kind: int, text: str) -> _Event | None:
    if kind == _INTRODUCED and text == _FROM_THE_START:
        return _Event(None, kind, text)
    version = parse_version(text)
    return None if version is None else _Event(version, kind, text)


def _known_events(parsed: list[_Event], groups: list[list[_Event | None]]) -> list[_Event]:
    """
    Return the events of the intervals that do not depend on an unknown one.

    Only intervals with both bounds qualify, and only if the known events are in order: otherwise the unknown event may
    be the end of any of them, and an open interval would block all versions.
    """
    keys = [event.key for event in parsed]
    if keys != sorted(keys) or any(event.kind == _LIMIT for event in parsed):
        return []
    whole: list[_Event] = []
    for group in groups:
        known = [event for event in group if event is not None]
        if len(known) == len(group) and known[0].kind == _INTRODUCED and len(known) > 1:
            whole += known
    return whole


def _merge(intervals: Iterable[Bounds]) -> list[Bounds]:
    """Return sorted intervals that do not overlap."""
    merged = list[Bounds]()
    for bounds in sorted(intervals, key=lambda one: (one.first is not None, one.first or _ANY_VERSION)):
        last = merged[-1] if merged else None
        if last is None or (last.end is not None and bounds.first is not None and bounds.first > last.end):
            merged.append(bounds)
        elif last.end is not None and (
            bounds.end is None or (bounds.end, bounds.includes_end) > (last.end, last.includes_end)
        ):
            merged[-1] = Bounds(last.first, bounds.end, bounds.includes_end)
    return merged


def _intervals(events: Iterable[_Event]) -> tuple[Interval, ...]:
    """Return the intervals of sorted events."""
    found, limits = list[Interval](), list[_Event]()
    start: _Event | None = None
    for event in events:
        if event.kind == _LIMIT:
            limits.append(event)
        elif event.kind == _INTRODUCED:
            start = start or event
        elif start is not None:
            found.append(_interval(start, event))
            start = None
    if start is not None:
        found.append(_interval(start, None))
    return _within_limit(found, limits[-1] if limits else None)


def _interval(start: _Event, end: _Event | None) -> Interval:
    first = None if start.version is None else start.text
    return Interval(first, end and end.text, end is not None and end.kind == _LAST_AFFECTED)


def _within_limit(intervals: list[Interval], limit: _Event | None) -> tuple[Interval, ...]:
    """Return the intervals up to a limit, which is not affected itself; the highest of several counts."""
    if limit is None or limit.version is None:
        return tuple(intervals)
    cut = list[Interval]()
    for interval in intervals:
        first, end, includes_end = interval.bounds
        if first is not None and first >= limit.version:
            break
        below = end is not None and (end < limit.version or (end == limit.version and not includes_end))
        cut.append(interval if below else Interval(interval.first, limit.text))
    return tuple(cut)

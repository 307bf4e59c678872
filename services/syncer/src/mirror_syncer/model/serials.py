"""
Rules for trusting upstream's serials: pure functions without I/O.

A serial should count changes, as PyPI's does. Other indexes send a constant, a date, or a single wrong number, so every
serial must be plausible. An implausible one counts as missing; then validators and content decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MAX_SERIAL = 2**53 - 1  # the largest integer that all JSON parsers read exactly (RFC 8259, section 6)
MAX_SERIAL_LEAD = 1_000_000
"""Maximum lead of a page over the list, or of the list over its projects: 40 days of PyPI at 25,000 changes a day."""
OUTLIER_FACTOR = 10_000
"""Maximum ratio to the next highest serial; between PyPI's oldest and newest project it is 4,000."""


def is_outlier(serial: int, others: int) -> bool:
    """Return whether a serial is implausibly far above the highest of all others."""
    return serial > MAX_SERIAL or serial > OUTLIER_FACTOR * others + MAX_SERIAL_LEAD


def newest_plausible(highest: Sequence[int]) -> int | None:
    """
    Return the highest serial that is not an outlier; with only two projects none can be excluded.

    Args:
        highest: the highest serials of projects, in descending order. A jump that several share is genuine.
    """
    possible = [serial for serial in highest if serial <= MAX_SERIAL]
    while len(possible) > 2 and is_outlier(*possible[:2]):  # noqa: PLR2004 - see above
        del possible[0]
    return possible[0] if possible else None


@dataclass(frozen=True, slots=True)
class ListSerials:
    """The trusted serials of a project list."""

    own: int | None
    """The list's serial; that of the newest project if the list has no trusted one."""
    newest: int | None
    """The highest trusted serial of a project."""
    ceiling: int
    """Projects' serials above this are not trusted."""


def judge_list(own: int | None, highest: Sequence[int]) -> ListSerials:
    """
    Compare a list's serial with those of its projects, and return the trusted ones.

    Args:
        own: the list's serial.
        highest: the highest serials of its projects, in descending order.
    """
    newest = newest_plausible(highest)
    if newest is None:
        return ListSerials(own=None, newest=None, ceiling=0)
    if own is not None:
        beyond = sum(serial > own + MAX_SERIAL_LEAD for serial in highest)
        if is_outlier(own, newest) or 2 * beyond > len(highest):
            own = None  # it is not on the same scale as its projects' serials
    ceiling = min(MAX_SERIAL, (newest if own is None else own) + MAX_SERIAL_LEAD)
    newest = max((serial for serial in highest if serial <= ceiling), default=newest)
    return ListSerials(own=newest if own is None else own, newest=newest, ceiling=ceiling)


def is_older_list(new: int | None, last: int | None, *, newest: int | None) -> bool:
    """
    Return whether a list is older than the last one.

    Args:
        new, last: the serials of both.
        newest: the highest serial of its projects; it reveals an implausible last serial.
    """
    if new is None or last is None or new >= last:
        return False
    return not is_outlier(last, max(new, newest or 0))


@dataclass(frozen=True, slots=True)
class SerialBounds:
    """
    Bounds for judging the serial of a page.

    Attributes:
        ceiling: the highest trusted serial.
        newest: the highest serial that this mirror has published; its own serials continue from there.
        listed: the serial of upstream's list, if known and current.
    """

    ceiling: int = MAX_SERIAL
    newest: int | None = None
    listed: int | None = None

    def trusted(self, serial: int | None) -> int | None:
        """Return a serial, or None if it is not trusted."""
        return serial if serial is not None and serial <= self.ceiling else None

    def may_be_older(self, serial: int | None, last: int | None, *, wanted: int | None) -> bool:
        """
        Return whether a page may be older than the last one, judging by serials.

        A page without a trusted serial may be older if the last one had one. A lower serial is accepted if upstream's
        list is at least as new as the last page and gives the project no later serial than this page: then the last
        serial was wrong, or upstream was reset.

        Args:
            serial, last: the serials of this page and of the last one.
            wanted: the project's serial in upstream's list; 0 for none.
        """
        last, serial = self.trusted(last), self.trusted(serial)
        if last is None or (serial is not None and serial >= last):
            return False
        if serial is None or not wanted or self.listed is None or self.listed < last:
            return True
        return wanted > serial

    def next_own_serial(self, last: int | None) -> int:
        """Return a serial of the mirror's own, for content that changed while upstream's serial did not."""
        return max(self.newest or 0, last or 0) + 1


def published_serial(upstream: int | None, last: int | None, *, changed: bool, bounds: SerialBounds) -> int | None:
    """
    Return the serial to publish with a page: it increases with each change of content, and never decreases.

    Args:
        upstream: its serial, if trusted.
        last: the last published serial.
        changed: the page's content differs from the published one.
    """
    if bounds.trusted(last) is None:
        # If other projects have serials, a mirror of this mirror may skip a project without one.
        return bounds.next_own_serial(None) if upstream is None and bounds.newest is not None else upstream
    if last is None or (upstream is not None and upstream > last):
        return upstream
    return bounds.next_own_serial(last) if changed else last

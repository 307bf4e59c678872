"""
How far upstream's serials are believed: pure judgements, without I/O.

A serial is meant to be a counter of changes, as PyPI's is. Other indexes send a constant, a date, or a number that is
wrong for once, so none is believed because it is there. What is not believed counts as missing: then validators and
content decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MAX_SERIAL = 2**53 - 1  # JSON's readers hold no larger integer exactly (RFC 8259, section 6)
MAX_SERIAL_LEAD = 1_000_000
"""So far a page may be ahead of the list, or the list of its projects: 40 days of PyPI, which counts 25,000 a day."""
OUTLIER_FACTOR = 10_000
"""So many times the next highest serial is no counter's: from PyPI's quietest project to its newest it is 4,000."""


def is_outlier(serial: int, others: int) -> bool:
    """Return whether a serial is so far above the highest of all others that nothing they count explains it."""
    return serial > MAX_SERIAL or serial > OUTLIER_FACTOR * others + MAX_SERIAL_LEAD


def newest_plausible(highest: Sequence[int]) -> int | None:
    """
    Return the highest serial that is no outlier; of two projects neither can tell which of them is wrong.

    Args:
        highest: the highest serials of projects, in descending order. Where several share a jump, the index made it.
    """
    possible = [serial for serial in highest if serial <= MAX_SERIAL]
    while len(possible) > 2 and is_outlier(*possible[:2]):  # noqa: PLR2004 - as said
        del possible[0]
    return possible[0] if possible else None


@dataclass(frozen=True, slots=True)
class ListSerials:
    """What is believed of the serials in a list of projects."""

    own: int | None
    """The list's own; the newest project's where it has none, or none to be believed."""
    newest: int | None
    """The highest believed serial of a project."""
    ceiling: int
    """A project's serial above that is not believed."""


def judge_list(own: int | None, highest: Sequence[int]) -> ListSerials:
    """
    Judge a list's own serial and its projects' serials against each other.

    Args:
        own: the list's own.
        highest: the highest serials of its projects, in descending order.
    """
    newest = newest_plausible(highest)
    if newest is None:
        return ListSerials(own=None, newest=None, ceiling=0)
    if own is not None:
        beyond = sum(serial > own + MAX_SERIAL_LEAD for serial in highest)
        if is_outlier(own, newest) or 2 * beyond > len(highest):
            own = None  # it does not count what its projects count
    ceiling = min(MAX_SERIAL, (newest if own is None else own) + MAX_SERIAL_LEAD)
    newest = max((serial for serial in highest if serial <= ceiling), default=newest)
    return ListSerials(own=newest if own is None else own, newest=newest, ceiling=ceiling)


def is_older_list(new: int | None, last: int | None, *, newest: int | None) -> bool:
    """
    Return whether a list is older than the last one.

    Args:
        new, last: the serials of both.
        newest: of its projects, by which a last serial is found out that never was one.
    """
    if new is None or last is None or new >= last:
        return False
    return not is_outlier(last, max(new, newest or 0))


@dataclass(frozen=True, slots=True)
class SerialBounds:
    """
    What is known of an index's serials, against which a page's serial is judged.

    Attributes:
        ceiling: the highest serial that is believed.
        newest: the highest that this mirror has published; its own serials go on from there.
        listed: the serial of upstream's list, where that is known and current.
    """

    ceiling: int = MAX_SERIAL
    newest: int | None = None
    listed: int | None = None

    def trusted(self, serial: int | None) -> int | None:
        """Return a serial, or None where it is not believed."""
        return serial if serial is not None and serial <= self.ceiling else None

    def may_be_older(self, serial: int | None, last: int | None, *, wanted: int | None) -> bool:
        """
        Return whether a page may be older than the last one, as far as serials tell.

        A page without a believed serial where the last one had some may be. Not so where upstream's list is as new as
        the last page and gives the project no later serial than this page has: then the last one's was wrong, or
        upstream has gone back as a whole.

        Args:
            serial, last: what the page and the last one say.
            wanted: what upstream's list says of the project; 0: nothing.
        """
        last, serial = self.trusted(last), self.trusted(serial)
        if last is None or (serial is not None and serial >= last):
            return False
        if serial is None or not wanted or self.listed is None or self.listed < last:
            return True
        return wanted > serial

    def next_own_serial(self, last: int | None) -> int:
        """Return a serial of our own, for content that changed while upstream's serial did not move."""
        return max(self.newest or 0, last or 0) + 1


def published_serial(said: int | None, last: int | None, *, changed: bool, bounds: SerialBounds) -> int | None:
    """
    Return the serial to publish a page with: it moves whenever the content does, and never goes back.

    Args:
        said: upstream's, where it is believed.
        last: what was published before.
        changed: the page says something else than the published one.
    """
    if bounds.trusted(last) is None:
        # Where others have serials, a mirror of this mirror may pass over what has none.
        return bounds.next_own_serial(None) if said is None and bounds.newest is not None else said
    if last is None or (said is not None and said > last):
        return said
    return bounds.next_own_serial(last) if changed else last

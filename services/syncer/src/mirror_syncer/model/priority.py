"""The priorities of projects; all runs share one queue and one connection budget."""

from enum import IntEnum


class Priority(IntEnum):
    """A priority; lower numbers come first."""

    NAMED = 0  # a person waits for it: one worker and one connection are reserved for these
    CHANGED = 1
    RETRY = 2
    RECHECK = 3
    BACKLOG = 4  # a first sync, a verify, a collection

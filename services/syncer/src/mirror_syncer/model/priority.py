"""Which project comes first; all runs share one queue and one budget of connections."""

from enum import IntEnum


class Priority(IntEnum):
    """Lower numbers first."""

    NAMED = 0  # a person waits for it: a worker and a connection are kept for these
    CHANGED = 1
    RETRY = 2
    RECHECK = 3
    BACKLOG = 4  # of a first sync, of a verify, of a collection

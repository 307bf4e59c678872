"""A sync of all that upstream lists: its list, what leaves, and what is looked at."""

from mirror_syncer.everything.sync import Everything

__all__ = ["Everything"]

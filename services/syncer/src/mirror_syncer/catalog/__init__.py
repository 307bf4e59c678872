"""
What the mirror remembers: projects, runs, and files between two states. SQLite, or PostgreSQL.

Read ``schema`` first, then ``database``, which opens it and applies the migrations. Each other module holds the
queries of one table: ``projects``, ``files``, ``run_log``, ``listing`` (upstream's list), ``due`` (whose turn it is).
"""

from mirror_syncer.catalog.database import Catalog, Fact
from mirror_syncer.catalog.due import Amounts, Due, DueProject
from mirror_syncer.catalog.listing import KnownList, MergeResult
from mirror_syncer.catalog.messages import Messages
from mirror_syncer.catalog.projects import Totals, Verified

__all__ = [
    "Amounts",
    "Catalog",
    "Due",
    "DueProject",
    "Fact",
    "KnownList",
    "MergeResult",
    "Messages",
    "Totals",
    "Verified",
]

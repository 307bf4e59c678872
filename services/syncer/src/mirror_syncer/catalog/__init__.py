"""
The catalog, a database on SQLite or PostgreSQL: projects, runs, and files about to change or to be removed.

Read ``schema`` first, then ``database``; ``engine`` opens it and applies the migrations. What differs between the
databases is in ``sqlite`` and ``postgresql``, two modules with the functions of ``backend``. ``transfer`` copies a
whole catalog from one to the other. Each other module holds the queries of one table or purpose: ``projects``,
``kept_pages`` (upstream's), ``files``, ``run_log``, ``listing`` (upstream's list; ``new_rows`` inserts what it names
first, on SQLite), ``due`` (projects due for a request), ``exemptions`` (versions that people released), ``added_lines``
(projects that people added), ``withheld`` (projects with held or blocked files), ``closures`` (what the selected
projects need), ``requirement_lines`` (what distributions require), ``absent_projects`` (required projects that upstream
lacks), ``facts`` (single values).
"""

from mirror_syncer.catalog.added_lines import StoredAddedLine
from mirror_syncer.catalog.closures import StoredClosure
from mirror_syncer.catalog.database import Catalog
from mirror_syncer.catalog.due import Amounts, Due, DueProject
from mirror_syncer.catalog.exemptions import StoredExemption
from mirror_syncer.catalog.facts import Fact
from mirror_syncer.catalog.listing import KnownList, MergeResult
from mirror_syncer.catalog.messages import Messages
from mirror_syncer.catalog.projects import ProjectFigures, Totals, Verified
from mirror_syncer.catalog.withheld import WithheldKey, WithheldTotals

__all__ = [
    "Amounts",
    "Catalog",
    "Due",
    "DueProject",
    "Fact",
    "KnownList",
    "MergeResult",
    "Messages",
    "ProjectFigures",
    "StoredAddedLine",
    "StoredClosure",
    "StoredExemption",
    "Totals",
    "Verified",
    "WithheldKey",
    "WithheldTotals",
]

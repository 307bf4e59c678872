"""What the mirror remembers: projects, runs, and files between two states. SQLite, or PostgreSQL."""

from mirror_syncer.catalog.database import Catalog, Fact, Settlement
from mirror_syncer.catalog.rows import KeptPage, Pending, ProjectRow, Retirement

__all__ = ["Catalog", "Fact", "KeptPage", "Pending", "ProjectRow", "Retirement", "Settlement"]

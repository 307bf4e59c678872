"""What the mirror remembers: projects, runs, and files between two states. SQLite, or PostgreSQL."""

from mirror_syncer.catalog.database import Catalog, Fact

__all__ = ["Catalog", "Fact"]

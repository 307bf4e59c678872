"""Totals that triggers keep, instead of an index to count by; and an index by which status finds the last whole run."""

import sqlalchemy as sa
from alembic import op

_Word = sa.String().with_variant(sa.String(collation="C"), "postgresql")

revision = "0007"
down_revision = "0006"

_COUNT_NEW = """
    INSERT INTO project_total (state, projects, files, stored_bytes)
    VALUES (NEW.state, 1, NEW.file_count, NEW.stored_bytes)
    ON CONFLICT (state) DO UPDATE SET projects = projects + 1,
        files = files + excluded.files, stored_bytes = stored_bytes + excluded.stored_bytes;"""
_DISCOUNT_OLD = """
    UPDATE project_total SET projects = projects - 1,
        files = files - OLD.file_count, stored_bytes = stored_bytes - OLD.stored_bytes WHERE state = OLD.state;"""
_DIFFERS = "(NEW.state, NEW.file_count, NEW.stored_bytes) IS NOT (OLD.state, OLD.file_count, OLD.stored_bytes)"


def upgrade() -> None:
    """Count once; let SQLite count on."""
    op.create_table(
        "project_total",
        sa.Column("state", _Word, primary_key=True),
        sa.Column("projects", sa.BigInteger, nullable=False),
        sa.Column("files", sa.BigInteger, nullable=False),
        sa.Column("stored_bytes", sa.BigInteger, nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "INSERT INTO project_total SELECT state, count(*), sum(file_count), sum(stored_bytes)"
            " FROM project GROUP BY state"
        )
        op.execute(f"CREATE TRIGGER project_inserted AFTER INSERT ON project BEGIN {_COUNT_NEW} END")
        op.execute(
            f"CREATE TRIGGER project_updated AFTER UPDATE ON project WHEN {_DIFFERS}"
            f" BEGIN {_DISCOUNT_OLD} {_COUNT_NEW} END"
        )
        op.execute(f"CREATE TRIGGER project_deleted AFTER DELETE ON project BEGIN {_DISCOUNT_OLD} END")
    op.drop_index("project_totals", "project")
    op.create_index("run_whole", "run", ["kind", "whole", "state", "id"])

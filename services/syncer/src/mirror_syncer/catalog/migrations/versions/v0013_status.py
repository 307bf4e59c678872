"""Since when projects fail or are damaged, and how many can be installed."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_COUNT_NEW = """
    INSERT INTO project_total (state, projects, files, stored_bytes, installable)
    VALUES (NEW.state, 1, NEW.file_count, NEW.stored_bytes, NEW.published AND NEW.file_count > 0)
    ON CONFLICT (state) DO UPDATE SET projects = projects + 1,
        files = files + excluded.files, stored_bytes = stored_bytes + excluded.stored_bytes,
        installable = installable + excluded.installable;"""
_DISCOUNT_OLD = """
    UPDATE project_total SET projects = projects - 1,
        files = files - OLD.file_count, stored_bytes = stored_bytes - OLD.stored_bytes,
        installable = installable - (OLD.published AND OLD.file_count > 0) WHERE state = OLD.state;"""
_DIFFERS = (
    "(NEW.state, NEW.file_count, NEW.stored_bytes, NEW.published)"
    " IS NOT (OLD.state, OLD.file_count, OLD.stored_bytes, OLD.published)"
)


def upgrade() -> None:
    """Take the last look at a project that fails for its begin; count what can be installed, once."""
    op.add_column("project", sa.Column("amiss_since", sa.BigInteger))
    op.execute("UPDATE project SET amiss_since = checked_at WHERE state IN ('failing', 'partial')")
    amiss = sa.text("amiss_since IS NOT NULL")
    op.create_index("project_amiss", "project", ["amiss_since"], sqlite_where=amiss, postgresql_where=amiss)
    op.add_column("project", sa.Column("damaged_files", sa.Integer, nullable=False, server_default="0"))
    op.add_column("project", sa.Column("damaged_since", sa.BigInteger))
    damaged = sa.text("damaged_since IS NOT NULL")
    columns = ["damaged_since", "damaged_files"]
    op.create_index("project_damaged", "project", columns, sqlite_where=damaged, postgresql_where=damaged)
    op.add_column("project_total", sa.Column("installable", sa.BigInteger, nullable=False, server_default="0"))
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "UPDATE project_total SET installable = (SELECT count(*) FROM project"
            " WHERE project.state = project_total.state AND published AND file_count > 0)"
        )
        for trigger in ("project_inserted", "project_updated", "project_deleted"):
            op.execute(f"DROP TRIGGER {trigger}")
        op.execute(f"CREATE TRIGGER project_inserted AFTER INSERT ON project BEGIN {_COUNT_NEW} END")
        op.execute(
            f"CREATE TRIGGER project_updated AFTER UPDATE ON project WHEN {_DIFFERS}"
            f" BEGIN {_DISCOUNT_OLD} {_COUNT_NEW} END"
        )
        op.execute(f"CREATE TRIGGER project_deleted AFTER DELETE ON project BEGIN {_DISCOUNT_OLD} END")

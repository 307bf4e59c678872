"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_Word = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "about",
        sa.Column("key", _Word, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "project",
        sa.Column("name", _Word, primary_key=True),
        sa.Column("state", _Word, nullable=False),
        sa.Column("serial", sa.BigInteger),
        sa.Column("etag", sa.Text),
        sa.Column("last_modified", sa.Text),
        sa.Column("fingerprint", _Word),
        sa.Column("file_count", sa.Integer, nullable=False),
        sa.Column("stored_bytes", sa.BigInteger, nullable=False),
        sa.Column("withheld_files", sa.Integer, nullable=False),
        sa.Column("missing_files", sa.Integer, nullable=False),
        sa.Column("published", sa.Boolean, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("checked_at", sa.BigInteger),
        sa.Column("changed_at", sa.BigInteger),
        sa.Column("error", sa.Text),
    )
    op.create_index("project_state", "project", ["state", "name"])
    op.create_index("project_listed", "project", ["published", "name", "serial"])
    op.create_table(
        "kept_page",
        sa.Column("name", _Word, primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("content_type", _Word, nullable=False),
        sa.Column("serial", sa.BigInteger),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "run",
        sa.Column("id", _Word, primary_key=True),
        sa.Column("kind", _Word, nullable=False),
        sa.Column("state", _Word, nullable=False),
        sa.Column("whole", sa.Boolean, nullable=False),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("run_state", "run", ["state", "id"])
    op.create_table(
        "run_key",
        sa.Column("key", _Word, primary_key=True),
        sa.Column("run_id", _Word, nullable=False),
    )
    op.create_table(
        "pending",
        sa.Column("project", _Word, primary_key=True),
        sa.Column("place", _Word, primary_key=True),
        sa.Column("sha256", _Word, nullable=False),
        sa.Column("withdraw", sa.Boolean, nullable=False),
    )
    op.create_index("pending_place", "pending", ["place"])
    op.create_table(
        "retired",
        sa.Column("place", _Word, primary_key=True),
        sa.Column("sha256", _Word, nullable=False),
        sa.Column("project", _Word, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("withdraw", sa.Boolean, nullable=False),
    )
    op.create_index("retired_due", "retired", ["due_at", "project"])

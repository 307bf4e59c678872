"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "about",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "project",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("serial", sa.BigInteger),
        sa.Column("etag", sa.Text),
        sa.Column("last_modified", sa.Text),
        sa.Column("fingerprint", sa.String),
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
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("content_type", sa.String, nullable=False),
        sa.Column("serial", sa.BigInteger),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("whole", sa.Boolean, nullable=False),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("run_state", "run", ["state", "id"])
    op.create_table(
        "run_key",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("run_id", sa.String, nullable=False),
    )
    op.create_table(
        "pending",
        sa.Column("project", sa.String, primary_key=True),
        sa.Column("place", sa.String, primary_key=True),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("withdraw", sa.Boolean, nullable=False),
    )
    op.create_index("pending_place", "pending", ["place"])
    op.create_table(
        "retired",
        sa.Column("place", sa.String, primary_key=True),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("project", sa.String, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("withdraw", sa.Boolean, nullable=False),
    )
    op.create_index("retired_due", "retired", ["due_at", "project"])

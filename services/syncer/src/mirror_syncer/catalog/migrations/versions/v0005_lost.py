"""What upstream's page lacks, and the deletion guard keeps on ours."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column, and the index of the few projects that have any."""
    op.add_column("project", sa.Column("lost_files", sa.Integer, nullable=False, server_default="0"))
    shrinking = sa.text("lost_files > 0 AND absent_since IS NULL")
    op.create_index("project_shrinking", "project", ["name"], sqlite_where=shrinking, postgresql_where=shrinking)

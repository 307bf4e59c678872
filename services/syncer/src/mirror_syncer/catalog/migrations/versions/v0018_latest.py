"""An index of projects with the newest serial that no query for changed projects can take instead of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Leave out projects that were never requested; the index by serial of changed ones is another."""
    op.drop_index("project_latest", "project")
    where = sa.text("wanted_serial IS NOT NULL AND absent_since IS NULL AND checked_at IS NOT NULL")
    op.create_index("project_latest", "project", ["wanted_serial", "name"], sqlite_where=where, postgresql_where=where)

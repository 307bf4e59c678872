"""The newest version of each project, for lists."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the column. It is unknown until a project's page is published again."""
    op.add_column("project", sa.Column("newest_version", sa.Text))

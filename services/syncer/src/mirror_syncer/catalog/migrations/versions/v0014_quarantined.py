"""Which projects are quarantined: upstream's list lacks them, and their pages stay."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Take none for quarantined: each is asked for its page before the list's word takes it."""
    op.add_column("project", sa.Column("quarantined", sa.Boolean, nullable=False, server_default=sa.false()))
    quarantined = sa.text("quarantined AND absent_since > 0")
    op.create_index("project_quarantined", "project", ["name"], sqlite_where=quarantined, postgresql_where=quarantined)

"""What scope everything and a verify that goes on remember of a project."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns."""
    for name in ("wanted_serial", "absent_since", "verified_at"):
        op.add_column("project", sa.Column(name, sa.BigInteger))

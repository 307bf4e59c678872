"""Files that wait for the end of their grace: since when, and how many bytes."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the columns. What waits already keeps its time, and is counted without its bytes."""
    op.add_column("retired", sa.Column("retired_at", sa.BigInteger))
    op.add_column("retired", sa.Column("size", sa.BigInteger, nullable=False, server_default="0"))
    op.drop_index("retired_due", "retired")
    op.create_index("retired_due", "retired", ["due_at", "project", "size"])

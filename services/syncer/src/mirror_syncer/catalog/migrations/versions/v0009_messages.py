"""Messages to the webhook's receiver outlive the process."""

import sqlalchemy as sa
from alembic import op

_Word = sa.String().with_variant(sa.String(collation="C"), "postgresql")

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the table; what waited in memory went with the process of before."""
    op.create_table("message", sa.Column("run_id", _Word, primary_key=True))

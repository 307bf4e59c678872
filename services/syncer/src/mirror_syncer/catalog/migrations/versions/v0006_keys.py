"""Idempotency keys know what was asked for with them, and since when."""

import sqlalchemy as sa
from alembic import op

_Word = sa.String().with_variant(sa.String(collation="C"), "postgresql")

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table anew: keys live for a day, and what those of before were used for is not known."""
    op.drop_table("run_key")
    op.create_table(
        "run_key",
        sa.Column("key", _Word, primary_key=True),
        sa.Column("run_id", _Word, nullable=False),
        sa.Column("digest", _Word, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
    )
    op.create_index("run_key_made", "run_key", ["made_at"])

"""Lines that people added beside those of mirror.toml."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

_WORD = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Nobody has added a line yet."""
    op.create_table(
        "added_line",
        sa.Column("project", _WORD, primary_key=True),
        sa.Column("line", sa.Text, nullable=False),
        sa.Column("because", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
    )

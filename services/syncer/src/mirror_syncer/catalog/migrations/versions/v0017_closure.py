"""The dependency closure in force."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

_WORD = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Store no closure: the next sync of a selection computes one."""
    op.create_table(
        "closure",
        sa.Column("format", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("policy_digest", _WORD, nullable=False),
        sa.Column("pages_digest", _WORD, nullable=False),
        sa.Column("computed_at", sa.BigInteger, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )

"""Requirements of distributions, names that upstream lacks, and digests of kept pages."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_WORD = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Leave the digests of kept pages unknown: the next page replaces each of them."""
    op.add_column("kept_page", sa.Column("sha256", _WORD))
    op.create_index("kept_page_digest", "kept_page", ["name", "sha256"])
    op.create_table(
        "requirement_lines",
        sa.Column("key", _WORD, primary_key=True),
        sa.Column("used_at", sa.BigInteger, nullable=False),
        sa.Column("lines", sa.Text, nullable=False),
    )
    op.create_index("requirement_lines_used", "requirement_lines", ["used_at"])
    op.create_table(
        "absent_project",
        sa.Column("name", _WORD, primary_key=True),
        sa.Column("until", sa.BigInteger, nullable=False),
    )

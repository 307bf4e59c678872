"""Counts of held and blocked files, the time at which a decision expires, and the released versions."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_WORD = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Count no file as held: the first sync judges each page by the policy's new fingerprint."""
    for name in ("held_files", "blocked_files"):
        op.add_column("project", sa.Column(name, sa.Integer, nullable=False, server_default="0"))
    op.add_column("project", sa.Column("expires_at", sa.BigInteger))
    withheld, expiring = sa.text("held_files > 0 OR blocked_files > 0"), sa.text("expires_at IS NOT NULL")
    op.create_index(
        "project_withheld",
        "project",
        ["name", "held_files", "blocked_files"],
        sqlite_where=withheld,
        postgresql_where=withheld,
    )
    op.create_index(
        "project_expiring", "project", ["expires_at", "name"], sqlite_where=expiring, postgresql_where=expiring
    )
    op.create_table(
        "exemption",
        sa.Column("id", _WORD, primary_key=True),
        sa.Column("project", _WORD, nullable=False),
        sa.Column("specifier", sa.Text, nullable=False),
        sa.Column("because", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
    )

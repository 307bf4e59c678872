"""The digest of each published page, so that a page that was changed on disk is noticed."""

import sqlalchemy as sa
from alembic import op

_Word = sa.String().with_variant(sa.String(collation="C"), "postgresql")

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the column; a project without a digest is asked for once without validators, and then has one."""
    op.add_column("project", sa.Column("page_sha256", _Word))

"""One row a project for what its publication has in hand."""

import json
from collections import defaultdict

import sqlalchemy as sa
from alembic import op

_Word = sa.String().with_variant(sa.String(collation="C"), "postgresql")

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Gather the rows of each project."""
    connection = op.get_bind()
    gathered = defaultdict(list)
    for project, place, sha256, withdraw in connection.execute(
        sa.text("SELECT project, place, sha256, withdraw FROM pending")
    ):
        gathered[project].append([place, sha256, bool(withdraw)])
    op.drop_index("pending_place", "pending")
    op.drop_table("pending")
    pending = op.create_table(
        "pending",
        sa.Column("project", _Word, primary_key=True),
        sa.Column("files", sa.Text, nullable=False),
    )
    rows = [{"project": project, "files": json.dumps(files)} for project, files in gathered.items()]
    if rows:
        connection.execute(pending.insert(), rows)

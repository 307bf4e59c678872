"""Who wished for a run, and indexes by which runs are listed."""

import sqlalchemy as sa
from alembic import op

_Word = sa.String().with_variant(sa.String(collation="C"), "postgresql")

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Take it from each run's document, which had it from the first version on."""
    op.add_column("run", sa.Column("trigger", _Word, nullable=False, server_default=sa.text("''")))
    postgresql = op.get_bind().dialect.name == "postgresql"
    told = "document::json ->> 'trigger'" if postgresql else "json_extract(document, '$.trigger')"
    op.execute(f'UPDATE run SET "trigger" = {told}')  # noqa: S608 - one of these two
    op.create_index("run_trigger", "run", ["trigger", "id"])
    op.create_index("run_kind", "run", ["kind", "id"])

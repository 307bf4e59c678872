"""Indexes by which scope everything finds what is to do, and status its totals, among 890,000 projects."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_LISTED = "wanted_serial IS NOT NULL AND absent_since IS NULL"
_CHANGED = (
    "wanted_serial > 0 AND absent_since IS NULL AND due_at IS NULL AND (checked_at IS NOT NULL OR serial IS NOT NULL)"
)
_PARTIAL = {
    "project_new": (["wanted_serial", "name"], f"{_LISTED} AND checked_at IS NULL AND serial IS NULL"),
    "project_changed": (
        ["wanted_serial", "name"],
        f"{_CHANGED} AND (serial IS NULL OR serial < wanted_serial)",
    ),
    "project_absent": (["published", "absent_since", "name"], "absent_since IS NOT NULL AND state <> 'withdrawn'"),
    "project_retried": (["due_at", "name"], "due_at IS NOT NULL"),
    "project_checked": (["checked_at", "name"], f"{_LISTED} AND checked_at IS NOT NULL"),
}


def upgrade() -> None:
    """Make the indexes; let what fails be tried again by the clock, from now on."""
    op.create_index("project_totals", "project", ["state", "file_count", "stored_bytes"])
    op.create_index("project_wanted", "project", ["name", "wanted_serial", "absent_since"])
    for name, (columns, condition) in _PARTIAL.items():
        where = sa.text(condition)
        op.create_index(name, "project", columns, sqlite_where=where, postgresql_where=where)
    op.execute("UPDATE project SET due_at = 0 WHERE state = 'failing' AND due_at IS NULL")

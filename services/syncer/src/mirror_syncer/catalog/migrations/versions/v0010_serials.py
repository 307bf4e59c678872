"""Serials that are believed, those that are ours, and since when upstream shows older pages."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_MOST = 2**53 - 1
_NAMES = ("serial", "wanted_serial", "etag", "last_modified")
_CHANGED = (
    "wanted_serial > 0 AND absent_since IS NULL AND due_at IS NULL AND (checked_at IS NOT NULL OR serial IS NOT NULL)"
    " AND (serial IS NULL OR serial <> wanted_serial) AND (seen_serial IS NULL OR seen_serial <> wanted_serial)"
)
_PARTIAL = {
    "project_changed": (["wanted_serial", "name"], _CHANGED),
    "project_latest": (["wanted_serial", "name"], "wanted_serial IS NOT NULL AND absent_since IS NULL"),
    "project_doubted": (["name"], "doubted AND absent_since IS NULL"),
}


def upgrade() -> None:
    """Add the columns and indexes; forget serials that no counter reaches, which held pages and lists back."""
    for name in ("own_serial", "seen_serial", "older_since"):
        op.add_column("project", sa.Column(name, sa.BigInteger))
    op.add_column("project", sa.Column("doubted", sa.Boolean, nullable=False, server_default=sa.false()))
    op.drop_index("project_listed", "project")
    op.create_index("project_listed", "project", ["published", "name", "serial", "own_serial"])
    op.drop_index("project_changed", "project")
    for name, (columns, condition) in _PARTIAL.items():
        where = sa.text(condition)
        op.create_index(name, "project", columns, sqlite_where=where, postgresql_where=where)
    # Its page says such a serial, too: without validators it is fetched and judged again.
    project, kept_page = (sa.table(name, *map(sa.column, _NAMES)) for name in ("project", "kept_page"))
    unread = dict.fromkeys(("serial", "etag", "last_modified"))
    op.execute(project.update().where(project.c.serial > _MOST).values(unread))
    op.execute(project.update().where(project.c.wanted_serial > _MOST).values(wanted_serial=0))
    op.execute(kept_page.update().where(kept_page.c.serial > _MOST).values(serial=None))
    # Every project was looked at by its list's serial, as far as its own is not lower.
    op.execute("UPDATE project SET seen_serial = wanted_serial WHERE serial > wanted_serial AND checked_at IS NOT NULL")
    about = sa.table("about", sa.column("key"), sa.column("value"))
    facts = {row.key: row.value for row in op.get_bind().execute(sa.select(about.c.key, about.c.value))}
    known = json.loads(facts.get("upstream_list", "{}"))
    wrong = {"list_serial": int(facts.get("list_serial", 0)), "upstream_list": known.get("serial") or 0}
    for key, serial in wrong.items():
        if serial > _MOST:
            op.execute(about.delete().where(about.c.key == key))

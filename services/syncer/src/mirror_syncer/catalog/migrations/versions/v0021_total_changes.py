"""Totals that triggers keep on PostgreSQL, too."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

_WORD = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_AMOUNTS = ("projects", "files", "stored_bytes", "installable")
_COUNT = """
INSERT INTO project_total (state, projects, files, stored_bytes, installable)
SELECT state, count(*), sum(file_count), sum(stored_bytes), sum((published AND file_count > 0)::int)
FROM project GROUP BY state"""
_FUNCTION_INSERTED = """
CREATE FUNCTION note_inserted_projects() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO project_total_change (state, projects, files, stored_bytes, installable)
    SELECT state, count(*), sum(file_count), sum(stored_bytes), sum((published AND file_count > 0)::int)
    FROM added GROUP BY state;
    RETURN NULL;
END $$"""
_FUNCTION_CHANGED = """
CREATE FUNCTION note_changed_project() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO project_total_change (state, projects, files, stored_bytes, installable)
        VALUES (NEW.state, 1, NEW.file_count, NEW.stored_bytes, (NEW.published AND NEW.file_count > 0)::int);
    END IF;
    INSERT INTO project_total_change (state, projects, files, stored_bytes, installable)
    VALUES (OLD.state, -1, -OLD.file_count, -OLD.stored_bytes, -(OLD.published AND OLD.file_count > 0)::int);
    RETURN NULL;
END $$"""
_TRIGGER_INSERTED = """
CREATE TRIGGER project_inserted AFTER INSERT ON project REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION note_inserted_projects()"""
_TRIGGER_UPDATED = """
CREATE TRIGGER project_updated AFTER UPDATE ON project FOR EACH ROW
WHEN ((NEW.state, NEW.file_count, NEW.stored_bytes, NEW.published)
    IS DISTINCT FROM (OLD.state, OLD.file_count, OLD.stored_bytes, OLD.published))
EXECUTE FUNCTION note_changed_project()"""
_TRIGGER_DELETED = """
CREATE TRIGGER project_deleted AFTER DELETE ON project FOR EACH ROW EXECUTE FUNCTION note_changed_project()"""


def upgrade() -> None:
    """Count once on PostgreSQL, where totals were counted at each request."""
    amounts = (sa.Column(name, sa.BigInteger, nullable=False) for name in _AMOUNTS)
    op.create_table("project_total_change", sa.Column("state", _WORD, nullable=False), *amounts)
    if op.get_bind().dialect.name == "postgresql":
        for statement in (
            _COUNT,
            _FUNCTION_INSERTED,
            _FUNCTION_CHANGED,
            _TRIGGER_INSERTED,
            _TRIGGER_UPDATED,
            _TRIGGER_DELETED,
        ):
            op.execute(statement)

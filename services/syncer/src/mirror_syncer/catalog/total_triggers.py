"""
The triggers that keep the totals of projects by state.

On SQLite they change the totals. On PostgreSQL, where each change of one row within a transaction slows down the next,
they only note changes: the sums of a statement that inserts, and each row of one that updates, since few of those
change a total. ``postgresql.add_changed_totals`` adds them up once a group.
"""

_COUNT_NEW = """
    INSERT INTO project_total (state, projects, files, stored_bytes, installable)
    VALUES (NEW.state, 1, NEW.file_count, NEW.stored_bytes, NEW.published AND NEW.file_count > 0)
    ON CONFLICT (state) DO UPDATE SET projects = projects + 1,
        files = files + excluded.files, stored_bytes = stored_bytes + excluded.stored_bytes,
        installable = installable + excluded.installable;"""
_DISCOUNT_OLD = """
    UPDATE project_total SET projects = projects - 1,
        files = files - OLD.file_count, stored_bytes = stored_bytes - OLD.stored_bytes,
        installable = installable - (OLD.published AND OLD.file_count > 0) WHERE state = OLD.state;"""
_DIFFERS = (
    "(NEW.state, NEW.file_count, NEW.stored_bytes, NEW.published)"
    " IS NOT (OLD.state, OLD.file_count, OLD.stored_bytes, OLD.published)"
)
_ON_SQLITE = tuple(
    f"CREATE TRIGGER {trigger}"
    for trigger in (
        f"project_inserted AFTER INSERT ON project BEGIN {_COUNT_NEW} END",
        f"project_updated AFTER UPDATE ON project WHEN {_DIFFERS} BEGIN {_DISCOUNT_OLD} {_COUNT_NEW} END",
        f"project_deleted AFTER DELETE ON project BEGIN {_DISCOUNT_OLD} END",
    )
)

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

STATEMENTS = {
    "sqlite": _ON_SQLITE,
    "postgresql": (_FUNCTION_INSERTED, _FUNCTION_CHANGED, _TRIGGER_INSERTED, _TRIGGER_UPDATED, _TRIGGER_DELETED),
}
"""By the name of a dialect: they make functions and triggers."""

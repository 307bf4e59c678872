"""The catalog's tables. There is no row for a published file: the page is the list."""

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    event,
    false,
    text,
)

SCHEMA_VERSION = "0014"
"""The newest migration's, which this schema is the result of."""

metadata = MetaData()

# By bytes on both databases, since lists are merged in that order; PostgreSQL's own may be a language's.
Word = String().with_variant(String(collation="C"), "postgresql")
# What scope everything has to do, each condition with an index of just the rows that it holds for: whatever there are
# of others, a look costs nothing where nothing is to do. Queries must repeat them word for word.
LISTED = text("wanted_serial IS NOT NULL AND absent_since IS NULL")
CHECKED = text("wanted_serial IS NOT NULL AND absent_since IS NULL AND checked_at IS NOT NULL")
NEW = text("wanted_serial IS NOT NULL AND absent_since IS NULL AND checked_at IS NULL AND serial IS NULL")
# A wanted serial of 0: listed without one. Any other than the one of the last look is news, also a lower one.
CHANGED = text(
    "wanted_serial > 0 AND absent_since IS NULL AND due_at IS NULL AND (checked_at IS NOT NULL OR serial IS NOT NULL)"
    " AND (serial IS NULL OR serial <> wanted_serial) AND (seen_serial IS NULL OR seen_serial <> wanted_serial)"
)
DOUBTED = text("doubted AND absent_since IS NULL")
QUARANTINED = text("quarantined AND absent_since > 0")
ABSENT = text("absent_since IS NOT NULL AND state <> 'withdrawn'")
RETRIED = text("due_at IS NOT NULL")
AMISS = text("amiss_since IS NOT NULL")
DAMAGED = text("damaged_since IS NOT NULL")
SHRINKING = text("lost_files > 0 AND absent_since IS NULL")

about = Table(
    "about",
    metadata,
    Column("key", Word, primary_key=True),
    Column("value", Text, nullable=False),
)

# Times are whole seconds since the epoch, UTC: both databases compare and index them alike.
project = Table(
    "project",
    metadata,
    Column("name", Word, primary_key=True),
    Column("state", Word, nullable=False),
    # upstream's, of the page that was taken last, where it is believed
    Column("serial", BigInteger),
    # ours, where the published page moved and upstream's serial did not
    Column("own_serial", BigInteger),
    # what upstream's list gave it when it was last looked at
    Column("seen_serial", BigInteger),
    # its serial says nothing of its content
    Column("doubted", Boolean, nullable=False, server_default=false()),
    # its page was quarantined when it was last taken
    Column("quarantined", Boolean, nullable=False, server_default=false()),
    # since when upstream has shown older pages only
    Column("older_since", BigInteger),
    Column("etag", Text),
    Column("last_modified", Text),
    # of the policy that the published page was made by
    Column("fingerprint", Word),
    Column("file_count", Integer, nullable=False, default=0),
    Column("stored_bytes", BigInteger, nullable=False, default=0),
    Column("withheld_files", Integer, nullable=False, default=0),
    Column("missing_files", Integer, nullable=False, default=0),
    # that upstream's page lacks, and the deletion guard keeps on ours
    Column("lost_files", Integer, nullable=False, server_default="0"),
    Column("published", Boolean, nullable=False, default=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("due_at", BigInteger),
    Column("checked_at", BigInteger),
    Column("changed_at", BigInteger),
    Column("error", Text),
    # of the published page's two forms together; NULL: not known
    Column("page_sha256", Word),
    # These are not the transfer's, so a project's publication leaves them as they are.
    # the serial that upstream's list gives it
    Column("wanted_serial", BigInteger),
    # the serial of the first list that lacks it
    Column("absent_since", BigInteger),
    Column("verified_at", BigInteger),
    # since when it is failing or partial without a break; NULL while it is neither
    Column("amiss_since", BigInteger),
    # what a verify found missing or wrong of it, and since when; 0 once a verify finds nothing, or has repaired it
    Column("damaged_files", Integer, nullable=False, server_default="0"),
    Column("damaged_since", BigInteger),
    Index("project_state", "state", "name"),
    # The project list is read from this index alone.
    Index("project_listed", "published", "name", "serial", "own_serial"),
    # Upstream's list is compared with this one alone.
    Index("project_wanted", "name", "wanted_serial", "absent_since"),
    Index("project_new", "wanted_serial", "name", sqlite_where=NEW, postgresql_where=NEW),
    Index("project_changed", "wanted_serial", "name", sqlite_where=CHANGED, postgresql_where=CHANGED),
    # What the list names with its newest serial, or with a later one.
    Index("project_latest", "wanted_serial", "name", sqlite_where=LISTED, postgresql_where=LISTED),
    Index("project_doubted", "name", sqlite_where=DOUBTED, postgresql_where=DOUBTED),
    Index("project_quarantined", "name", sqlite_where=QUARANTINED, postgresql_where=QUARANTINED),
    Index("project_absent", "published", "absent_since", "name", sqlite_where=ABSENT, postgresql_where=ABSENT),
    Index("project_retried", "due_at", "name", sqlite_where=RETRIED, postgresql_where=RETRIED),
    Index("project_shrinking", "name", sqlite_where=SHRINKING, postgresql_where=SHRINKING),
    Index("project_damaged", "damaged_since", "damaged_files", sqlite_where=DAMAGED, postgresql_where=DAMAGED),
    Index("project_amiss", "amiss_since", sqlite_where=AMISS, postgresql_where=AMISS),
    Index("project_checked", "checked_at", "name", sqlite_where=CHECKED, postgresql_where=CHECKED),
)

# The projects of each state, and what they weigh. SQLite's triggers keep it, so that no write can forget to: to count
# 200,000 rows takes 45 ms, and it is asked for at each scrape. On PostgreSQL it is empty, and they are counted: there,
# each of a transaction's changes to one row makes the next one slower.
project_total = Table(
    "project_total",
    metadata,
    Column("state", Word, primary_key=True),
    Column("projects", BigInteger, nullable=False),
    Column("files", BigInteger, nullable=False),
    Column("stored_bytes", BigInteger, nullable=False),
    # those with at least one published file
    Column("installable", BigInteger, nullable=False, server_default="0"),
)
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
for _trigger in (
    f"project_inserted AFTER INSERT ON project BEGIN {_COUNT_NEW} END",
    f"project_updated AFTER UPDATE ON project WHEN {_DIFFERS} BEGIN {_DISCOUNT_OLD} {_COUNT_NEW} END",
    f"project_deleted AFTER DELETE ON project BEGIN {_DISCOUNT_OLD} END",
):
    _statement = DDL(f"CREATE TRIGGER {_trigger}")  # type: ignore[no-untyped-call]
    event.listen(metadata, "after_create", _statement.execute_if(dialect="sqlite"))

# Upstream's page, where policy or failure held files of it back: what a 304 then stands for.
kept_page = Table(
    "kept_page",
    metadata,
    Column("name", Word, primary_key=True),
    Column("url", Text, nullable=False),
    Column("content_type", Word, nullable=False),
    Column("serial", BigInteger),
    Column("body", LargeBinary, nullable=False),  # gzip
)

run = Table(
    "run",
    metadata,
    Column("id", Word, primary_key=True),
    Column("kind", Word, nullable=False),
    Column("state", Word, nullable=False),
    # before the document, which may be 100 kB long: SQLite reads a row from its begin
    Column("trigger", Word, nullable=False, server_default=text("''")),
    Column("whole", Boolean, nullable=False),
    Column("finished_at", BigInteger),
    Column("document", Text, nullable=False),  # the Run, in JSON
    Index("run_state", "state", "id"),
    # To sort 20,000 runs of a kind took 70 ms.
    Index("run_kind", "kind", "id"),
    Index("run_trigger", "trigger", "id"),
    # The status asks for the last whole sync, which may lie behind thousands of runs of single projects.
    Index("run_whole", "kind", "whole", "state", "id"),
)

# Which run a client's Idempotency-Key stands for; several may stand for one.
run_key = Table(
    "run_key",
    metadata,
    Column("key", Word, primary_key=True),
    Column("run_id", Word, nullable=False),
    # of what was asked for with it
    Column("digest", Word, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Index("run_key_made", "made_at"),
)

# Runs that ended, and whose end the webhook's receiver is still to hear of.
message = Table("message", metadata, Column("run_id", Word, primary_key=True))

# What a project's publication touches, written before its bytes; after a crash each is looked at, and nothing else is.
# One row a project: a first sync writes four thousand of them instead of thirty-three thousand.
pending = Table(
    "pending",
    metadata,
    Column("project", Word, primary_key=True),
    Column("files", Text, nullable=False),  # a list of [place, sha256, withdraw], in JSON
)

# Files that no page names any more, and what once lay at a place that is empty now: no URL ever changes its bytes.
retired = Table(
    "retired",
    metadata,
    Column("place", Word, primary_key=True),
    Column("sha256", Word, nullable=False),
    Column("project", Word, nullable=False),
    # when it goes; NULL: it is published again, or gone
    Column("due_at", BigInteger),
    # into .withdrawn instead of for ever
    Column("withdraw", Boolean, nullable=False, default=False),
    # from when its grace counts; NULL: another grace does not move it
    Column("retired_at", BigInteger),
    # bytes that come free when it goes
    Column("size", BigInteger, nullable=False, server_default="0"),
    # With the size, so that the status adds up what waits from this index alone.
    Index("retired_due", "due_at", "project", "size"),
)

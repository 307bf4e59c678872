"""The catalog's tables. A published file has no row: its page is the record."""

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

from mirror_syncer.catalog.total_triggers import STATEMENTS

SCHEMA_VERSION = "0021"
"""The revision of the newest migration, which results in this schema."""

metadata = MetaData()

# Sorted by bytes on both databases, the order of merged lists; PostgreSQL's default may be that of a language.
Word = String().with_variant(String(collation="C"), "postgresql")
# Conditions for due projects (scope everything), each with an index of exactly the matching rows, so that a query
# without results costs nothing. Queries must repeat them word for word. None with an index may follow from another:
# SQLite takes of two usable indexes on the same columns the one that was made last, and `project.indexes` has no order.
LISTED = text("wanted_serial IS NOT NULL AND absent_since IS NULL")
CHECKED = text("wanted_serial IS NOT NULL AND absent_since IS NULL AND checked_at IS NOT NULL")
NEW = text("wanted_serial IS NOT NULL AND absent_since IS NULL AND checked_at IS NULL AND serial IS NULL")
# A wanted serial of 0 means listed without a serial. Any other value than at the last request is a change, even a lower
# one.
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
WITHHELD = text("held_files > 0 OR blocked_files > 0")
EXPIRING = text("expires_at IS NOT NULL")
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
    # upstream's serial of the last accepted page, if trusted
    Column("serial", BigInteger),
    # the mirror's own serial, if the published page changed and upstream's serial did not
    Column("own_serial", BigInteger),
    # its serial in upstream's list at the last request
    Column("seen_serial", BigInteger),
    # its serial does not reflect its content
    Column("doubted", Boolean, nullable=False, server_default=false()),
    # its last accepted page was quarantined
    Column("quarantined", Boolean, nullable=False, server_default=false()),
    # since when upstream has served only older pages
    Column("older_since", BigInteger),
    Column("etag", Text),
    Column("last_modified", Text),
    # of the policy that was applied to the published page
    Column("fingerprint", Word),
    Column("file_count", Integer, nullable=False, default=0),
    Column("stored_bytes", BigInteger, nullable=False, default=0),
    Column("withheld_files", Integer, nullable=False, default=0),
    # of these, the files that wait, and the blocked ones
    Column("held_files", Integer, nullable=False, server_default="0"),
    Column("blocked_files", Integer, nullable=False, server_default="0"),
    # when time alone changes the decision about its files
    Column("expires_at", BigInteger),
    Column("missing_files", Integer, nullable=False, default=0),
    # files that upstream's page lacks and the deletion guard keeps
    Column("lost_files", Integer, nullable=False, server_default="0"),
    Column("published", Boolean, nullable=False, default=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("due_at", BigInteger),
    Column("checked_at", BigInteger),
    Column("changed_at", BigInteger),
    Column("error", Text),
    # digest of the published page's two forms together; NULL: unknown
    Column("page_sha256", Word),
    # of its published files; NULL: unknown
    Column("newest_version", Text),
    # A project's publication does not change the following columns.
    # its serial in upstream's list
    Column("wanted_serial", BigInteger),
    # the serial of the first list that lacks it
    Column("absent_since", BigInteger),
    Column("verified_at", BigInteger),
    # since when it has been failing or partial; NULL while it is neither
    Column("amiss_since", BigInteger),
    # number of missing or corrupt files that a verify found, and since when; 0 once repaired or found intact
    Column("damaged_files", Integer, nullable=False, server_default="0"),
    Column("damaged_since", BigInteger),
    Index("project_state", "state", "name"),
    # The project list is read only from this index.
    Index("project_listed", "published", "name", "serial", "own_serial"),
    # Upstream's list is compared only with this index.
    Index("project_wanted", "name", "wanted_serial", "absent_since"),
    Index("project_new", "wanted_serial", "name", sqlite_where=NEW, info={"where": NEW}),
    Index("project_changed", "wanted_serial", "name", sqlite_where=CHANGED, info={"where": CHANGED}),
    # Projects with the newest serial of the list.
    Index("project_latest", "wanted_serial", "name", sqlite_where=CHECKED, info={"where": CHECKED}),
    Index("project_doubted", "name", sqlite_where=DOUBTED, info={"where": DOUBTED}),
    Index("project_quarantined", "name", sqlite_where=QUARANTINED, info={"where": QUARANTINED}),
    Index("project_absent", "published", "absent_since", "name", sqlite_where=ABSENT, info={"where": ABSENT}),
    Index("project_retried", "due_at", "name", sqlite_where=RETRIED, info={"where": RETRIED}),
    Index("project_shrinking", "name", sqlite_where=SHRINKING, info={"where": SHRINKING}),
    Index("project_withheld", "name", "held_files", "blocked_files", sqlite_where=WITHHELD, info={"where": WITHHELD}),
    Index("project_expiring", "expires_at", "name", sqlite_where=EXPIRING, info={"where": EXPIRING}),
    Index("project_damaged", "damaged_since", "damaged_files", sqlite_where=DAMAGED, info={"where": DAMAGED}),
    Index("project_amiss", "amiss_since", sqlite_where=AMISS, info={"where": AMISS}),
    Index("project_checked", "checked_at", "name", sqlite_where=CHECKED, info={"where": CHECKED}),
)

# Totals of projects by state. Triggers keep them current, see ``total_triggers``: counting 200,000 rows at each scrape
# would take 45 ms.
project_total = Table(
    "project_total",
    metadata,
    Column("state", Word, primary_key=True),
    Column("projects", BigInteger, nullable=False),
    Column("files", BigInteger, nullable=False),
    Column("stored_bytes", BigInteger, nullable=False),
    # projects with at least one published file
    Column("installable", BigInteger, nullable=False, server_default="0"),
)
# Changes of the totals. On PostgreSQL each change of one row within a transaction slows down the next, so triggers only
# insert here; each group adds the sums to the totals. On SQLite the table is empty.
project_total_change = Table(
    "project_total_change",
    metadata,
    Column("state", Word, nullable=False),
    Column("projects", BigInteger, nullable=False),
    Column("files", BigInteger, nullable=False),
    Column("stored_bytes", BigInteger, nullable=False),
    Column("installable", BigInteger, nullable=False),
)
for _dialect, _statements in STATEMENTS.items():
    for _statement in _statements:
        _made = DDL(_statement)  # type: ignore[no-untyped-call]
        event.listen(metadata, "after_create", _made.execute_if(dialect=_dialect))

# Upstream's page, stored if policy or failures left out some of its files: after a 304 it is processed again.
kept_page = Table(
    "kept_page",
    metadata,
    Column("name", Word, primary_key=True),
    Column("url", Text, nullable=False),
    Column("content_type", Word, nullable=False),
    Column("serial", BigInteger),
    Column("body", LargeBinary, nullable=False),  # gzip
    # digest of the unpacked body; NULL: unknown, stored by an older version
    Column("sha256", Word),
    # SQLite reads a column behind a body of 100 kB only through all of that body.
    Index("kept_page_digest", "name", "sha256"),
)

# What distributions require, in JSON, by the digest of their metadata or of the file, see catalog/requirement_lines.py.
requirement_lines = Table(
    "requirement_lines",
    metadata,
    Column("key", Word, primary_key=True),
    # to the day
    Column("used_at", BigInteger, nullable=False),
    Column("lines", Text, nullable=False),
    Index("requirement_lines_used", "used_at"),
)

# Projects that others require and upstream lacks, so that each closure need not ask for them again.
absent_project = Table(
    "absent_project",
    metadata,
    Column("name", Word, primary_key=True),
    Column("until", BigInteger, nullable=False),
)

# Versions that a person released from the cooldown.
exemption = Table(
    "exemption",
    metadata,
    Column("id", Word, primary_key=True),
    Column("project", Word, nullable=False),
    Column("specifier", Text, nullable=False),
    Column("because", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
)

# Lines that people added beside those of mirror.toml, one a project.
added_line = Table(
    "added_line",
    metadata,
    Column("project", Word, primary_key=True),
    Column("line", Text, nullable=False),
    Column("because", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),
)

# What the selected projects need, as the last sync of a selection computed it: one row.
closure = Table(
    "closure",
    metadata,
    # of the document
    Column("format", Integer, primary_key=True, autoincrement=False),
    # of the policy, and of the marks of the pages, by which it was computed
    Column("policy_digest", Word, nullable=False),
    Column("pages_digest", Word, nullable=False),
    Column("computed_at", BigInteger, nullable=False),
    Column("document", LargeBinary, nullable=False),  # JSON in gzip
)

run = Table(
    "run",
    metadata,
    Column("id", Word, primary_key=True),
    Column("kind", Word, nullable=False),
    Column("state", Word, nullable=False),
    # before the document, which may have 100 kB: SQLite reads a row from its start
    Column("trigger", Word, nullable=False, server_default=text("''")),
    Column("whole", Boolean, nullable=False),
    Column("finished_at", BigInteger),
    Column("document", Text, nullable=False),  # the Run, in JSON
    Index("run_state", "state", "id"),
    # Without it, sorting 20,000 runs of a kind took 70 ms.
    Index("run_kind", "kind", "id"),
    Index("run_trigger", "trigger", "id"),
    # The status shows the last full sync, which thousands of runs of single projects may have followed.
    Index("run_whole", "kind", "whole", "state", "id"),
)

# The run of a client's Idempotency-Key; several keys may belong to one run.
run_key = Table(
    "run_key",
    metadata,
    Column("key", Word, primary_key=True),
    Column("run_id", Word, nullable=False),
    # digest of the request
    Column("digest", Word, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Index("run_key_made", "made_at"),
)

# Runs that ended, with an undelivered webhook message.
message = Table("message", metadata, Column("run_id", Word, primary_key=True))

# Files that a publication is about to change, recorded before it writes them; after a crash only these are examined.
# One row per project: a first sync writes four thousand rows instead of thirty-three thousand.
pending = Table(
    "pending",
    metadata,
    Column("project", Word, primary_key=True),
    Column("files", Text, nullable=False),  # a list of [place, sha256, withdraw], in JSON
)

# Files that no page names any longer, and the former content of empty places: no URL ever changes its content.
retired = Table(
    "retired",
    metadata,
    Column("place", Word, primary_key=True),
    Column("sha256", Word, nullable=False),
    Column("project", Word, nullable=False),
    # time of its removal; NULL: it is published again, or removed
    Column("due_at", BigInteger),
    # move it to .withdrawn instead of deleting it
    Column("withdraw", Boolean, nullable=False, default=False),
    # start of its grace period; NULL: a changed grace period does not apply
    Column("retired_at", BigInteger),
    # bytes that its removal frees
    Column("size", BigInteger, nullable=False, server_default="0"),
    # With the size, so that the status sums up waiting files only from this index.
    Index("retired_due", "due_at", "project", "size"),
)


def set_conditions(dialect: str) -> None:
    """Set the conditions of indexes for PostgreSQL, which ``postgresql_where`` would import at each start: 0.03 s."""
    if dialect != "postgresql":
        return
    for table in metadata.tables.values():
        for index in table.indexes:
            if (condition := index.info.get("where")) is not None:
                index.dialect_options[dialect]["where"] = condition

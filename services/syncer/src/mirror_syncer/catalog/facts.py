"""Single values, such as the mirror's id: the table ``about``."""

from enum import StrEnum

import sqlalchemy as sa

from mirror_syncer.catalog.schema import about


class Fact(StrEnum):
    """A value that the catalog has once."""

    MIRROR_ID = "mirror_id"
    SYNCED_POLICY = "synced_policy"  # digest of the policy of the last successful full sync
    FULLY_APPLIED_POLICY = (
        "fed_policy"  # digest of the policy to which all published projects were brought (scope everything)
    )
    ADMISSION = "admission"  # which names of upstream's list the policy of the last merged one admitted
    JUDGED_POLICY = "judged_policy"  # digest of the policy by which all published pages were judged
    LIST = "list"  # digest of the published project list
    LIST_SERIAL = "list_serial"  # serial of the published project list
    LIST_OLDER = "list_older"  # when upstream began to serve a list older than the last; empty: it does not
    UPSTREAM = "upstream"  # URL of the upstream that all data comes from
    SWITCHED_FROM = (
        "switched_from"  # URL of the previous upstream, until a full sync has requested every project; empty: none
    )
    SYNC_START_SERIAL = "tick"  # newest project serial when the last full sync began; more changes may share it
    CHECKED_ABSENCES_OF = "asked_after"  # edition of the last list whose absent projects were all requested
    UPSTREAM_CHANGED_AT = "news"  # when upstream last had a change
    LAST_CLOCK = "clock"  # the host's clock at the last check
    RECENT_REMOVALS = "taken"  # JSON: projects from which upstream removed something within a day, and when
    PAUSED = "paused"  # Unix time at which the schedule was paused; empty: it is not
    WITHHELD_SINCE = "withheld_since"  # when the deletion guard began to withhold removals; empty: it withholds none
    LIST_DAMAGED = "list_damaged"  # number of damaged forms of the list that a verify found, and when; empty: none
    ADOPTING = "adopting"  # old tree of an unfinished `adopt`
    UPSTREAM_LIST = "upstream_list"  # JSON: the last completely merged list, see ``listing``
    GENERATION = "generation"  # the tree's last confirmed generation, see ``generations``
    GENERATION_BEGUN = "generation_begun"


def read_fact(connection: sa.Connection, fact: Fact) -> str | None:
    """Return a value, or None."""
    found: str | None = connection.scalar(sa.select(about.c.value).where(about.c.key == fact))
    return found


def write_fact(connection: sa.Connection, fact: Fact, value: str) -> None:
    """Store a value."""
    delete_fact(connection, fact)
    connection.execute(about.insert().values(key=fact, value=value))


def delete_fact(connection: sa.Connection, fact: Fact) -> None:
    """Delete a value."""
    connection.execute(about.delete().where(about.c.key == fact))

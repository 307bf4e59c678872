"""The conversion between rows of the project table and ``ProjectRow``; both have the same names."""

import time
from typing import Any

from mirror_contract import ProjectState
from mirror_syncer.catalog.schema import project
from mirror_syncer.model.project import ProjectRow
from mirror_syncer.model.validators import Validators

_EXCLUDED_COLUMNS = {"wanted_serial", "absent_since", "verified_at", "amiss_since", "damaged_files", "damaged_since"}
_AMISS = (ProjectState.FAILING, ProjectState.PARTIAL)
_VALIDATORS = ("etag", "last_modified")
ROW_COLUMNS = [column for column in project.columns if column.name not in _EXCLUDED_COLUMNS]
"""The columns that make a ``ProjectRow``."""
_OWN_COLUMNS = [column.name for column in ROW_COLUMNS if column.name not in _VALIDATORS]


def parse_row(values: dict[str, Any]) -> ProjectRow:
    """Convert a dictionary of ``ROW_COLUMNS``; it is modified."""
    values["validators"] = Validators(values.pop("etag"), values.pop("last_modified"))
    values["state"] = ProjectState(values["state"])
    # SQLite has no booleans, so the driver returns integers.
    values["published"] = bool(values["published"])
    values["doubted"] = bool(values["doubted"])
    values["quarantined"] = bool(values["quarantined"])
    return ProjectRow(**values)


def row_values(row: ProjectRow) -> dict[str, Any]:
    """Return the columns to store, with the time since when a project fails, if it does."""
    values = {name: getattr(row, name) for name in _OWN_COLUMNS}
    amiss = row.checked_at or int(time.time()) if row.state in _AMISS else None
    return values | {
        "etag": row.validators.etag,
        "last_modified": row.validators.last_modified,
        "amiss_since": amiss,
    }

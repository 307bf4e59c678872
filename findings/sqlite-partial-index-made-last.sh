#!/usr/bin/env bash
# SQLite 3.54.1 (in apsw 3.54.1.0 from PyPI), seen on 2026-11-30 with CPython 3.11.7; 3.40.1 and 3.46.1 do the same:
#
# Two partial indexes have the same columns. One holds exactly the rows of a query, because its WHERE is the query's,
# word for word: 5 of 10,000. The other's WHERE follows from it, and holds all 10,000. Without statistics SQLite takes
# the index that was made last. So the same schema, made in another order, reads 2,000 times as many rows. After
# ANALYZE it takes the small one in both orders.
#
# The plan of count(*), by what was done last:
#   the small index made:          SEARCH item USING INDEX small (a>?)
#   the large index made:          SEARCH item USING INDEX large (a>?)
#   the large index made, ANALYZE: SEARCH item USING INDEX small (a>?)
#
# Guessed: the index whose condition is the query's own wins, or at least the order makes no difference. The
# documentation says when a partial index can be used. It does not say which one is, of two that can. Our catalog had
# such a pair, and a sync without news took 1.5 s instead of 0.07 s. Exit code 0: still so; 1: it changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check apsw==3.54.1.0

venv/bin/python - <<'PYTHON'
import sys

import apsw

CONDITION = "a > 0 AND gone IS NULL AND b IS NOT a"
INDEXES = {
    "small": f"CREATE INDEX small ON item (a, name) WHERE {CONDITION}",
    "large": "CREATE INDEX large ON item (a, name) WHERE a IS NOT NULL AND gone IS NULL",
}
ROWS = """
    WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 10000)
    INSERT INTO item SELECT 'item ' || n, n, CASE WHEN n <= 5 THEN 0 ELSE n END, NULL FROM number
"""


def taken(*order, analyze=False):
    database = apsw.Connection(":memory:")
    database.execute("CREATE TABLE item (name TEXT PRIMARY KEY, a INTEGER, b INTEGER, gone INTEGER)")
    database.execute(ROWS)
    for name in order:
        database.execute(INDEXES[name])
    if analyze:
        database.execute("ANALYZE")
    (count,) = database.execute(f"SELECT count(*) FROM item WHERE {CONDITION}").fetchone()
    assert count == 5, count
    return next(row[3] for row in database.execute(f"EXPLAIN QUERY PLAN SELECT count(*) FROM item WHERE {CONDITION}"))


seen = [taken("large", "small"), taken("small", "large"), taken("small", "large", analyze=True)]
print(f"SQLite {apsw.sqlite_lib_version()}:", *seen, sep="\n  ")
wanted = [f"SEARCH item USING INDEX {name} (a>?)" for name in ("small", "large", "small")]
sys.exit(seen != wanted)
PYTHON

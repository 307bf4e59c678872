"""
The work on one project, in this process or in a worker process; it knows no catalog and no run.

Read ``worker`` first: it performs one job after the other, either a ``transfer/`` or an ``inspection`` (run in
threads by ``inspector``, at the speed that ``rate_limit`` allows). ``pool`` shares jobs among workers; ``process``
starts one in a process of its own, which talks to its parent over ``wire`` and reaches the catalog through
``catalog_proxy``.
"""

import mirror_syncer.logs  # noqa: F401 - before all others, so that structlog comes without rich

"""
Runs: a sync, a verify or a collection, from the request to its last state.

Read ``engine`` first: it starts the runs of the ``book`` and ends them. ``dispatcher`` takes one project after the
other from the ``queue``, hands it to a worker, and follows it to its commit; ``feed`` fills the queue. The kinds of
runs are ``sync/``, ``verify/`` and ``collection``. ``clock`` corrects stored times after the system clock was
changed.
"""

from mirror_syncer.runs.active_run import LOW_TASK_COUNT, ActiveRun
from mirror_syncer.runs.book import Runs
from mirror_syncer.runs.ending import ending

__all__ = ["LOW_TASK_COUNT", "ActiveRun", "Runs", "ending"]

"""
Runs: a sync, a verify or a collection, from the request to its final state.

Read ``engine`` first: it starts, supervises and ends the runs of the ``book``. Each kind of run has an ``executor``
(``sync/``, ``verify/``, ``garbage_collection``) that uses the ``context``. ``dispatcher`` takes one task after the
other from the ``queue`` and follows it to its commit: the ``performer`` hands its project to a worker, and
``accounting`` adds what comes of it to the run; ``task_feed`` fills the queue. An ``active_run`` has its ``progress``
and its ``report``, from which ``ending`` derives the final state. ``clock`` corrects stored times after the system
clock was changed.
"""

from mirror_syncer.runs.active_run import ActiveRun
from mirror_syncer.runs.book import Runs

__all__ = ["ActiveRun", "Runs"]

"""
Access to the syncer: ``syncer_client`` calls its private API and remembers its last good answers.

``run_watch`` polls runs on behalf of any number of clients. For the page: ``history`` holds the last full syncs,
``recent_changes`` what changed within a day, ``run_speed`` how fast runs are, ``disk_history`` how the volume fills,
``last_answers`` what is shown while the syncer is away.
"""

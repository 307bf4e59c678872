"""
Access to the syncer: ``syncer_client`` calls its private API and remembers its last good answers.

``run_watch`` polls runs on behalf of any number of clients; ``history`` holds the last full syncs for the charts.
"""

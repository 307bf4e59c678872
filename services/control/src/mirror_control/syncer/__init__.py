"""
The syncer as control sees it: ``connection`` calls its private API and remembers its last good answers.

``watching`` follows runs on behalf of any number of clients; ``history`` holds the last whole syncs for the chart.
"""

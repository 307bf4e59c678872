"""
What a worker process runs: projects' turns, one event loop a process. It knows no catalog and no queue.

The parent gives it jobs and does its errands: see ``crew``.
"""

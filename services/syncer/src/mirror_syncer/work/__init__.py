"""
What a worker process runs: projects' turns, and looks at them, in one event loop. It knows no catalog and no queue.

The parent gives it jobs and does its errands: see ``crew``.
"""

"""
A PyPI that answers like warehouse, and fails on demand.

    async with fakepypi.serve() as pypi:
        pypi.index.project("foo").upload("1.0")
        pypi.faults.on_file("foo-1.0.tar.gz").status(503, retry_after=1).times(2)
        await sync(pypi.url)
        assert pypi.log.to("foo-1.0.tar.gz")[-1].status == 200
"""

from fakepypi.faults import Faults
from fakepypi.gate import Gate
from fakepypi.index import Index, JournalEntry
from fakepypi.log import Exchange, RequestLog
from fakepypi.project import Project
from fakepypi.release import File, Release, Status
from fakepypi.rule import Rule
from fakepypi.server import FakePyPI, create_app, serve
from fakepypi.target import Endpoint, Target

__all__ = [
    "Endpoint",
    "Exchange",
    "FakePyPI",
    "Faults",
    "File",
    "Gate",
    "Index",
    "JournalEntry",
    "Project",
    "Release",
    "RequestLog",
    "Rule",
    "Status",
    "Target",
    "create_app",
    "serve",
]

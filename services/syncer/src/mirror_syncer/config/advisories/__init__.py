"""
Advisories: records of malware and vulnerabilities in the OSV format, and what they block.

A record passes down these modules: ``archive`` (the JSON documents of a file, within ``bounds``), ``record`` (one
document, parsed), ``affected`` (its versions and ranges) and ``severity`` (how bad it is). ``advisories`` is the index
of all records by project; ``advisory`` is one record as it concerns one project. ``feed`` has the advisories in force:
it reads a ``location``, which ``download`` fetches if it is a URL. A good ``reading`` replaces the last good
advisories, which ``store`` keeps.
"""

from mirror_syncer.config.advisories.advisories import NO_ADVISORIES, Advisories, BlockingRules
from mirror_syncer.config.advisories.advisory import Advisory, Kind
from mirror_syncer.config.advisories.location import Location
from mirror_syncer.config.advisories.severity import Severity

__all__ = [
    "NO_ADVISORIES",
    "Advisories",
    "Advisory",
    "BlockingRules",
    "Kind",
    "Location",
    "Severity",
]

"""
Adoption of a tree that bandersnatch, shadowmire or another pypi-mirror wrote, by hard links.

Read ``run`` first: it streams the projects that ``source`` finds through ``project`` into the group commit, and
``report`` counts the results. Each project takes the order of every publication: first the new names of its files,
then the page that names them, then the catalog's row. With the row, the grace period of the files' old names begins.
So each page names existing files at any moment, and a URL that worked still works.
"""

from mirror_syncer.commands.adoption.report import Report
from mirror_syncer.commands.adoption.run import adopt

__all__ = ["Report", "adopt"]

"""
A tree that bandersnatch, shadowmire or a mirror like this one wrote becomes this mirror's, by hard links.

The order is that of every publication: the new name of a file, then the page that names it, then the catalog's row; and
with the row, the files' old names begin their grace period. So at every moment each page names files that are there,
and a URL that worked goes on working.
"""

from mirror_syncer.commands.adoption.report import Report
from mirror_syncer.commands.adoption.run import adopt

__all__ = ["Report", "adopt"]

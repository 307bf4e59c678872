"""
Publication: what clients read, and how it becomes durable, visible and recorded.

Read ``pages`` first: it renders and parses the mirror's project pages; ``project_list`` and ``legacy_json`` render the
other documents. ``commit_group`` publishes many projects with one sync of the disk: files, then pages, then the
catalog's rows. After a crash ``recovery`` completes or undoes a publication; ``reconciliation`` repairs a tree and a
catalog of different age.
"""

from mirror_syncer.publish.held import read_held
from mirror_syncer.publish.legacy_json import Releases, render_legacy
from mirror_syncer.publish.newest_version import newest_version
from mirror_syncer.publish.pages import (
    find_published,
    parse_published,
    read_places,
    read_published,
    render_html,
    render_page,
)
from mirror_syncer.publish.publication import Publication

__all__ = [
    "Publication",
    "Releases",
    "find_published",
    "newest_version",
    "parse_published",
    "read_held",
    "read_places",
    "read_published",
    "render_html",
    "render_legacy",
    "render_page",
]

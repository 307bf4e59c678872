"""What clients read: project pages and the project list, and how they become durable, visible and remembered."""

from mirror_syncer.publish.legacy import Releases, render_legacy
from mirror_syncer.publish.pages import (
    PublishedPage,
    find_published,
    parse_published,
    read_published,
    render_html,
    render_page,
)
from mirror_syncer.publish.publication import Publication

__all__ = [
    "Publication",
    "PublishedPage",
    "Releases",
    "find_published",
    "parse_published",
    "read_published",
    "render_html",
    "render_legacy",
    "render_page",
]

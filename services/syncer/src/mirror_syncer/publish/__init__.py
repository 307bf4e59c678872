"""What clients read: project pages and the project list, and how they become durable, visible and remembered."""

from mirror_syncer.publish.group import CommitGroup, Publication
from mirror_syncer.publish.pages import PublishedPage, parse_published, read_published, render_html, render_page
from mirror_syncer.publish.project_list import ProjectList, render_list

__all__ = [
    "CommitGroup",
    "ProjectList",
    "Publication",
    "PublishedPage",
    "parse_published",
    "read_published",
    "render_html",
    "render_list",
    "render_page",
]

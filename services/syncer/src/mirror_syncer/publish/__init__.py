"""What clients read: project pages, the project list, and the status file."""

from mirror_syncer.publish.group import CommitGroup, Publication
from mirror_syncer.publish.pages import PublishedPage, parse_published, render_page
from mirror_syncer.publish.project_list import ListedProject, ProjectList, render_list

__all__ = [
    "CommitGroup",
    "ListedProject",
    "ProjectList",
    "Publication",
    "PublishedPage",
    "parse_published",
    "render_list",
    "render_page",
]

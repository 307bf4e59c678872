"""Small indexes with requirements, written as text, and policies for mirrors of them."""

from datetime import datetime

import fakepypi
from syncer.site import Site


def upload(pypi: fakepypi.FakePyPI, *releases: str, uploaded_at: datetime | None = None) -> None:
    """Upload releases, each written as in ``app 1.0: lib>=2, other``."""
    for text in releases:
        release, _, requires = text.partition(":")
        name, version = release.split()
        lines = tuple(one.strip() for one in requires.split(",") if one.strip())
        project = pypi.index.project(name)
        project.upload(version, sdist=False, requires_dist=lines, uploaded_at=uploaded_at)


def choose(site: Site, *lines: str, latest: int | None = 1, superseded: str = "0m", more: str = "") -> None:
    """Write a mirror.toml whose removals are not guarded, and without grace for replaced releases."""
    newest = "" if latest is None else f"latest = {latest}\n"
    projects = ", ".join(f'"{line}"' for line in lines)
    site.policy.write_text(
        f"[mirror]\nprojects = [{projects}]\n{newest}"
        f'[removal]\ngrace = "0m"\nguard = "100%"\nsuperseded = "{superseded}"\n{more}'
    )

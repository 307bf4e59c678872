"""Releases with requirements, written in a line each."""

import fakepypi


def upload(pypi: fakepypi.FakePyPI, *releases: str) -> None:
    """Upload releases, each written as in ``app 1.0: lib>=2, other``."""
    for text in releases:
        release, _, requires = text.partition(":")
        name, version = release.split()
        lines = tuple(one.strip() for one in requires.split(",") if one.strip())
        pypi.index.project(name).upload(version, sdist=False, requires_dist=lines)

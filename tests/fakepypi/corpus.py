"""A container's projects: a tiny ecosystem that pip can install, and any number of fillers."""

from collections.abc import Mapping
from dataclasses import dataclass

from fakepypi.index import Index


@dataclass(frozen=True, kw_only=True)
class ProjectVersions:
    """A project's versions and their fields."""

    versions: tuple[str, ...]
    requires_dist: tuple[str, ...] = ()
    requires_python: str | None = None


ECOSYSTEM: Mapping[str, ProjectVersions] = {
    "certifi": ProjectVersions(versions=("2024.12.14", "2025.1.31", "2025.4.26"), requires_python=">=3.6"),
    "charset-normalizer": ProjectVersions(versions=("2.1.1", "3.3.2", "3.4.1"), requires_python=">=3.7"),
    "idna": ProjectVersions(versions=("2.10", "3.4", "3.7", "3.10"), requires_python=">=3.6"),
    "packaging": ProjectVersions(versions=("23.2", "24.2", "25.0"), requires_python=">=3.8"),
    "requests": ProjectVersions(
        versions=("2.30.0", "2.31.0", "2.32.1", "2.32.3"),
        requires_dist=("charset-normalizer<4,>=2", "idna<4,>=2.5", "urllib3<3,>=1.21.1", "certifi>=2017.4.17"),
        requires_python=">=3.8",
    ),
    "six": ProjectVersions(versions=("1.15.0", "1.16.0", "1.17.0")),
    "urllib3": ProjectVersions(versions=("1.26.20", "2.2.3", "2.4.0"), requires_python=">=3.9"),
    "zope.interface": ProjectVersions(
        versions=("7.1.1", "7.2"), requires_python=">=3.8"
    ),  # a display name that is not normal
}


def upload_ecosystem(index: Index) -> Index:
    """Upload the ecosystem, the oldest versions first, with one release yanked."""
    for name, grown in ECOSYSTEM.items():
        for version in grown.versions:
            index.project(name).upload(
                version, requires_dist=grown.requires_dist, requires_python=grown.requires_python
            )
    index.project("requests").yank("2.32.1", reason="Conflicts with a mitigation")
    return index


def fill(index: Index, count: int) -> None:
    """Upload more projects of one small wheel each: ``filler-00000`` and on, after the existing ones."""
    first = sum(project.name.startswith("filler-") for project in index)
    for number in range(first, first + count):
        index.project(f"filler-{number:05}").upload("1.0", sdist=False)

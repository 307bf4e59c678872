"""Compares the tree with upstream: every project, every file, and nothing else."""

import json
from collections.abc import Iterator

from fakepypi import Index, Project, Status
from syncer.site import Site


def differences(index: Index, site: Site) -> Iterator[str]:
    """Yield each difference between upstream and the tree, in words."""
    listed = {project.name: project for project in index if project.status is not Status.QUARANTINED}
    # No list names them. A mirrored one stays as an empty page; one that was quarantined before its first sync never
    # had one.
    aside = {project.name: project for project in index if project.status is Status.QUARANTINED}
    shown, may_be = set(site.pages()), listed | aside
    for what, names in (("is not published", listed.keys() - shown), ("should be gone", shown - may_be.keys())):
        yield from (f"{name} {what}" for name in sorted(names))
    document = json.loads((site.web / "simple" / "index.v1_json").read_bytes())
    expected = listed.keys() | (aside.keys() & shown)
    if (named := {entry["name"] for entry in document["projects"]}) != expected:
        yield f"the project list differs by {sorted(named ^ expected)[:10]}"
    for name in sorted(may_be.keys() & shown):
        yield from (f"{name}: {what}" for what in _differences(may_be[name], site))


def damages(site: Site) -> Iterator[str]:
    """Yield damage of the tree: wrong hashes, wrong or missing forms of pages, and temporary files."""
    try:
        site.assert_whole()
    except (AssertionError, OSError) as error:
        yield f"the tree is not whole: {error}"


def unnamed(site: Site) -> set[str]:
    """Return the files that no page names; some remain for a while after a removal."""
    named = set[str]()
    for name in site.pages():
        published = site.published(name)
        for filename, place in published.places.items():
            named.add(place)
            if isinstance(published.files[filename].core_metadata, str):
                named.add(f"{place}.metadata")
    there = {str(path.relative_to(site.web)) for path in (site.web / "packages").rglob("*") if path.is_file()}
    return there - named


def _differences(project: Project, site: Site) -> Iterator[str]:
    published, listing = site.published(project.name), project.listing()
    ours_is, theirs_is = (f"{page.status} at {page.serial}" for page in (published.page, listing))
    # Our serial also moves where upstream's does not, so it may be ahead, but never behind.
    if str(published.page.status) != str(listing.status) or (published.page.serial or 0) < listing.serial:
        yield f"is {ours_is}, not {theirs_is}"
    theirs = {one.file.filename: (one.file.sha256, one.requires_python, one.yanked) for one in listing.files}
    ours = {name: (file.sha256, file.requires_python, file.yanked) for name, file in published.files.items()}
    if ours != theirs:
        yield f"differs in {sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))}"

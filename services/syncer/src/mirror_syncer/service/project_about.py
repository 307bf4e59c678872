"""What the metadata of a release says about its project: its summary, its license and its links."""

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from packaging.utils import NormalizedName

from mirror_contract import ProjectAbout, ProjectLink
from mirror_contract.distributions import read_version
from mirror_syncer.errors import PathError, VolumeError
from mirror_syncer.model.names import PackagePath
from mirror_syncer.model.page import File
from mirror_syncer.publish import newest_version
from mirror_syncer.volume import AnyView

# Fields come before the description; those that matter here are among the first.
_MAX_HEAD_BYTES = 64 << 10
_MAX_SUMMARY_CHARS = 500
_MAX_LICENSE_CHARS = 100
_MAX_LABEL_CHARS = 60
_MAX_URL_CHARS = 500
_MAX_LINKS = 20
_EMPTY_LINE = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(r"(summary|license|license-expression|home-page|project-url): *(.+)", re.IGNORECASE)


def read_about(
    view: AnyView, name: NormalizedName, files: Iterable[File], places: Mapping[str, PackagePath]
) -> ProjectAbout | None:
    """
    Return what the newest release says about its project; None if it has no wheel with metadata. It blocks.

    Args:
        files: the published ones.
        places: of these files, by their names.
    """
    files = list(files)
    version = newest_version(name, files)
    if version is None:
        return None
    of_release = (file for file in reversed(files) if file.core_metadata and not file.yanked)
    file = next((file for file in of_release if str(read_version(name, file.filename)) == version), None)
    if file is None:
        return None
    try:
        head = view.metadata_head(places[file.filename], most=_MAX_HEAD_BYTES)
    except (PathError, VolumeError):
        return None  # verify reports it
    return None if head is None else _parse(version, head)


def _parse(version: str, head: bytes) -> ProjectAbout:
    """Return what metadata says; strangers wrote it, so nothing in it is an error."""
    text = _EMPTY_LINE.split(head, maxsplit=1)[0].decode(errors="replace")
    fields = list(_fields(text))
    by_name = dict(reversed(fields))  # the first of each
    license_ = by_name.get("license-expression") or by_name.get("license") or ""
    links = {link.url: link for field, value in fields if (link := _link(field, value)) is not None}
    return ProjectAbout(
        version=version,
        summary=by_name.get("summary", "")[:_MAX_SUMMARY_CHARS] or None,
        license=license_ if 0 < len(license_) <= _MAX_LICENSE_CHARS else None,
        links=list(links.values())[:_MAX_LINKS],
    )


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """Yield the fields that matter, by their names in small letters; their further lines are left out."""
    for line in text.splitlines():
        if (found := _FIELD.fullmatch(line)) is not None and (value := found[2].strip()) not in ("", "UNKNOWN"):
            yield found[1].lower(), value


def _link(field: str, value: str) -> ProjectLink | None:
    """Return a link that a browser may follow, or None: no other scheme, no user before the host."""
    if field == "home-page":
        label, url = "Homepage", value
    elif field == "project-url":
        label, _, url = (part.strip() for part in value.partition(","))
    else:
        return None
    if len(url) > _MAX_URL_CHARS or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        is_web = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    except ValueError:
        return None
    return ProjectLink(label=label[:_MAX_LABEL_CHARS] or "Link", url=url) if is_web else None

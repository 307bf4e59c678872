"""
The legacy document of a project as we publish it, ``/pypi/<project>/json``: exactly the files that its page names.

Files are told of as the page tells of them; upstream's document adds what only it knows. Without one, the page is
enough for a bandersnatch that mirrors this mirror.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from packaging.version import Version

from mirror_contract.distributions import parse_version, read_version
from mirror_syncer.model.names import PackagePath, quote_place
from mirror_syncer.model.page import File, Page
from mirror_syncer.upstream import LegacyDocument, LegacyFile

PublishedFile = tuple[File, PackagePath]

_UNKNOWN_RELEASE = (
    "unknown"  # the release of a file whose name tells none; no version by PEP 440, so nobody takes it for one
)
_TYPES = {
    ".whl": "bdist_wheel",
    ".egg": "bdist_egg",
    ".exe": "bdist_wininst",
    ".msi": "bdist_msi",
    ".rpm": "bdist_rpm",
    ".dmg": "bdist_dmg",
}
# What all releases of a project have in common, mostly; the rest of ``info`` is one release's own.
_COMMON_INFO_KEYS = ("name", "package_url", "project_url", "summary")
# What Warehouse says where it knows nothing.
_EMPTY_INFO: dict[str, Any] = {
    "author": None,
    "author_email": None,
    "bugtrack_url": None,
    "classifiers": [],
    "description": None,
    "description_content_type": None,
    "docs_url": None,
    "download_url": None,
    "downloads": {"last_day": -1, "last_month": -1, "last_week": -1},
    "dynamic": None,
    "home_page": None,
    "keywords": None,
    "license": None,
    "license_expression": None,
    "license_files": None,
    "maintainer": None,
    "maintainer_email": None,
    "package_url": None,
    "platform": None,
    "project_url": None,
    "project_urls": None,
    "provides_extra": None,
    "release_url": None,
    "requires_dist": None,
    "summary": None,
}


class Releases:
    """
    The files that a page names, by release.

    Args:
        files: each published file with its place.
        upstream: the document that may know better than a file's name which release it is of.
    """

    def __init__(self, page: Page, files: Sequence[PublishedFile], *, upstream: LegacyDocument | None) -> None:
        self.page = page
        self._upstream = upstream
        self._upstream_files: dict[str, LegacyFile] = {}
        for file, _ in files:
            known = None if upstream is None else upstream.files.get(file.filename)
            if known is not None and known.sha256 == file.sha256:  # otherwise it speaks of another file
                self._upstream_files[file.filename] = known
        self._spellings = {version: text for text in page.versions if (version := parse_version(text)) is not None}
        found: dict[str, list[PublishedFile]] = {}
        for landed in files:
            found.setdefault(self._version(landed[0]), []).append(landed)
        self._files = dict(sorted(found.items(), key=lambda item: _version_key(item[0])))

    @property
    def shown(self) -> str:
        """The release that ``info`` and ``urls`` are about: upstream's choice if it is here, or the newest that is."""
        if self._upstream is not None and self._upstream.version in self._files:
            return self._upstream.version
        return max(self._files, key=self._preference_key)

    @property
    def ownership(self) -> dict[str, Any] | None:
        """Who owns the project, where upstream tells."""
        return None if self._upstream is None else self._upstream.ownership

    def documents(self) -> dict[str, list[dict[str, Any]]]:
        """Return all entries by release, oldest first."""
        return {version: [self._entry(*landed) for landed in files] for version, files in self._files.items()}

    def info(self) -> dict[str, Any]:
        """Return what the page knows about the release shown, and upstream about the project."""
        common = {} if self._upstream is None else {key: self._upstream.info.get(key) for key in _COMMON_INFO_KEYS}
        files = [file for file, _ in self._files[self.shown]]
        yanked = next((file.yanked for file in files if file.yanked), False)
        return (
            _EMPTY_INFO
            | {"name": self.page.name}
            | common
            | {
                "requires_python": next((file.requires_python for file in files if file.requires_python), None),
                "version": self.shown,
                "yanked": bool(yanked),
                "yanked_reason": yanked if isinstance(yanked, str) else None,
            }
        )

    def _version(self, file: File) -> str:
        if file.filename in self._upstream_files:
            return self._upstream_files[file.filename].version
        version = read_version(self.page.name, file.filename)
        return _UNKNOWN_RELEASE if version is None else self._spellings.get(version, str(version))

    def _preference_key(self, text: str) -> tuple[bool, bool, tuple[bool, Version, str]]:
        # As Warehouse chooses: final before pre-release, and what is yanked last of all.
        yanked = all(file.yanked for file, _ in self._files[text])
        version = parse_version(text)
        return not yanked, version is not None and not version.is_prerelease, _version_key(text)

    def _entry(self, file: File, place: PackagePath) -> dict[str, Any]:
        known = self._upstream_files.get(file.filename)
        digests = ({} if known is None else known.digests) | {"sha256": file.sha256}
        moment = file.upload_time or ""
        return {
            "comment_text": "" if known is None else known.comment_text,
            "core-metadata": {"sha256": file.core_metadata} if isinstance(file.core_metadata, str) else False,
            "digests": digests,
            "downloads": -1,
            "filename": file.filename,
            "has_sig": False,
            "md5_digest": digests.get("md5"),
            "packagetype": (known and known.packagetype) or _TYPES.get(file.filename[-4:].lower(), "sdist"),
            "python_version": (known and known.python_version) or _python_version(file.filename),
            "requires_python": file.requires_python,
            "size": file.size,
            "upload_time": moment.partition(".")[0].removesuffix("Z"),
            "upload_time_iso_8601": moment,
            # From the host's root: a file cannot know its host, and bandersnatch takes nothing that does not begin so.
            "url": f"/{quote_place(place)}",
            "yanked": bool(file.yanked),
            "yanked_reason": file.yanked if isinstance(file.yanked, str) else None,
        }


def render_legacy(releases: Releases, *, about: LegacyDocument | None, serial: int) -> bytes:
    """
    Render a project's document.

    Args:
        about: the document that speaks of the release shown, where there is one.
        serial: what a downstream mirror compares with the project list.
    """
    entries = releases.documents()
    document = {
        # First, where nginx reads it: see nginx/legacy.js.
        "last_serial": serial,
        "info": releases.info() if about is None else about.info,
        "ownership": releases.ownership,
        "releases": entries,
        "urls": entries[releases.shown],
        "vulnerabilities": [] if about is None else about.vulnerabilities,
    }
    return msgspec.json.encode(document) + b"\n"


def _version_key(text: str) -> tuple[bool, Version, str]:
    version = parse_version(text)
    return version is not None, version or Version("0"), text


def _python_version(filename: str) -> str:
    return filename.split("-")[-3] if filename.endswith(".whl") and filename.count("-") > 2 else "source"  # noqa: PLR2004 - PEP 427's three tags

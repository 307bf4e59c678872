"""
The legacy document of a project, ``/pypi/<project>/json``, with exactly the files of its page.

The page describes the files; upstream's document adds details that only it has. Without it, the page is enough for a
bandersnatch that mirrors this mirror.
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
    "unknown"  # for a file whose name contains no version; not a version in PEP 440, so no client selects it
)
_TYPES = {
    ".whl": "bdist_wheel",
    ".egg": "bdist_egg",
    ".exe": "bdist_wininst",
    ".msi": "bdist_msi",
    ".rpm": "bdist_rpm",
    ".dmg": "bdist_dmg",
}
# Keys that mostly have one value for all releases of a project; the rest of ``info`` describes one release.
_COMMON_INFO_KEYS = ("name", "package_url", "project_url", "summary")
# Warehouse's values for unknown data.
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
    The files of a page, grouped by release.

    Args:
        files: each published file with its place.
        upstream: its releases take precedence over those in file names.
    """

    def __init__(self, page: Page, files: Sequence[PublishedFile], *, upstream: LegacyDocument | None) -> None:
        self.page = page
        self._upstream = upstream
        self._upstream_files: dict[str, LegacyFile] = {}
        for file, _ in files:
            known = None if upstream is None else upstream.files.get(file.filename)
            if known is not None and known.sha256 == file.sha256:  # otherwise it describes another file
                self._upstream_files[file.filename] = known
        self._spellings = {version: text for text in page.versions if (version := parse_version(text)) is not None}
        found: dict[str, list[PublishedFile]] = {}
        for landed in files:
            found.setdefault(self._version(landed[0]), []).append(landed)
        self._files = dict(sorted(found.items(), key=lambda item: _version_key(item[0])))

    @property
    def described(self) -> str:
        """The release that ``info`` and ``urls`` describe: upstream's choice if present, otherwise the newest."""
        if self._upstream is not None and self._upstream.version in self._files:
            return self._upstream.version
        return max(self._files, key=self._preference_key)

    @property
    def ownership(self) -> dict[str, Any] | None:
        """The project's owners, if upstream names them."""
        return None if self._upstream is None else self._upstream.ownership

    def entries(self) -> dict[str, list[dict[str, Any]]]:
        """Return the entries of all files by release, oldest first."""
        return {version: [self._entry(*landed) for landed in files] for version, files in self._files.items()}

    def info(self) -> dict[str, Any]:
        """Return ``info`` for the described release, from the page and upstream's data on the project."""
        common = {} if self._upstream is None else {key: self._upstream.info.get(key) for key in _COMMON_INFO_KEYS}
        files = [file for file, _ in self._files[self.described]]
        yanked = next((file.yanked for file in files if file.yanked), False)
        return (
            _EMPTY_INFO
            | {"name": self.page.name}
            | common
            | {
                "requires_python": next((file.requires_python for file in files if file.requires_python), None),
                "version": self.described,
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
        # Warehouse's order: final releases before pre-releases, yanked ones last.
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
            # From the host's root: the host name is unknown here, and bandersnatch requires a leading slash.
            "url": f"/{quote_place(place)}",
            "yanked": bool(file.yanked),
            "yanked_reason": file.yanked if isinstance(file.yanked, str) else None,
        }


def render_legacy(releases: Releases, *, about: LegacyDocument | None, serial: int) -> bytes:
    """
    Render a project's document.

    Args:
        about: upstream's document for the described release, if there is one.
        serial: a downstream mirror compares it with the project list.
    """
    entries = releases.entries()
    document = {
        # First, because nginx reads it there: see nginx/legacy.js.
        "last_serial": serial,
        "info": releases.info() if about is None else about.info,
        "ownership": releases.ownership,
        "releases": entries,
        "urls": entries[releases.described],
        "vulnerabilities": [] if about is None else about.vulnerabilities,
    }
    return msgspec.json.encode(document) + b"\n"


def _version_key(text: str) -> tuple[bool, Version, str]:
    version = parse_version(text)
    return version is not None, version or Version("0"), text


def _python_version(filename: str) -> str:
    return filename.split("-")[-3] if filename.endswith(".whl") and filename.count("-") > 2 else "source"  # noqa: PLR2004 - PEP 427's three tags

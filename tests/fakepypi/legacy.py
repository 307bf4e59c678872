"""The APIs from before PEP 691: ``/pypi/<project>/json`` and XML-RPC."""

import xmlrpc.client
from typing import Any

from fakepypi.index import Index
from fakepypi.pages import Document, file_url, timestamp
from fakepypi.project import Project
from fakepypi.release import File, Release, Status, version_key

_CHANGELOG_LIMIT = 50_000


def legacy_document(project: Project, version: str | None, *, file_origin: str) -> Document | None:
    """Return the legacy JSON of a project, or of one version; None where warehouse answers 404."""
    releases = {release.version: release for release in project.releases.values() if not release.quarantined}
    if project.status is Status.QUARANTINED or not releases or (version or next(iter(releases))) not in releases:
        return None
    chosen = releases[version] if version else max(releases.values(), key=lambda it: version_key(it.version))
    document = {
        "info": _info(project, chosen),
        "last_serial": project.serial,
        "ownership": {"organization": None, "roles": []},
        "urls": [_file(file, chosen, file_origin) for file in chosen.files.values()],
        "vulnerabilities": [],
    }
    if version is None:
        document["releases"] = {
            name: [_file(file, release, file_origin) for file in release.files.values()]
            for name, release in releases.items()
        }
    return document


def _info(project: Project, release: Release) -> Document:
    return {
        "author": "",
        "author_email": "",
        "bugtrack_url": None,
        "classifiers": [],
        "description": "",
        "description_content_type": None,
        "docs_url": None,
        "download_url": "",
        "downloads": {"last_day": -1, "last_month": -1, "last_week": -1},
        "dynamic": None,
        "home_page": "",
        "keywords": "",
        "license": "",
        "license_expression": None,
        "license_files": None,
        "maintainer": "",
        "maintainer_email": "",
        "name": project.display_name,
        "package_url": f"https://pypi.org/project/{project.display_name}/",
        "platform": "",
        "project_url": f"https://pypi.org/project/{project.display_name}/",
        "project_urls": None,
        "provides_extra": None,
        "release_url": f"https://pypi.org/project/{project.display_name}/{release.version}/",
        "requires_dist": None,
        "requires_python": release.requires_python,
        "summary": "Made for a test",
        "version": release.version,
        "yanked": bool(release.yanked),
        "yanked_reason": release.yanked if isinstance(release.yanked, str) else None,
    }


def _file(file: File, release: Release, file_origin: str) -> Document:
    return {
        "comment_text": "",
        "core-metadata": {"sha256": file.metadata_sha256} if file.metadata_sha256 else False,
        "digests": {"blake2b_256": file.blake2b_256, "md5": file.md5, "sha256": file.sha256},
        "downloads": -1,
        "filename": file.filename,
        "has_sig": False,
        "md5_digest": file.md5,
        "packagetype": "bdist_wheel" if file.is_wheel else "sdist",
        "python_version": file.python_version,
        "requires_python": release.requires_python,
        "size": len(file.content),
        "upload_time": file.uploaded_at.strftime("%Y-%m-%dT%H:%M:%S"),
        "upload_time_iso_8601": timestamp(file.uploaded_at),
        "url": file_url(file, file_origin),
        "yanked": bool(release.yanked),
        "yanked_reason": release.yanked if isinstance(release.yanked, str) else None,
    }


def call_xmlrpc(index: Index, body: bytes) -> bytes:
    """Answer an XML-RPC call: the three methods for mirrors work, all others return warehouse's fault."""
    arguments, method = xmlrpc.client.loads(body)
    result: Any
    match method:
        case "changelog_last_serial":
            result = index.serial
        case "changelog_since_serial":
            since = int(str(arguments[0]))
            result = [list(entry) for entry in index.journal if entry.serial > since][:_CHANGELOG_LIMIT]
        case "list_packages_with_serial":  # including the quarantined projects, which the root page omits
            result = {project.display_name: project.serial for project in index}
        case _:
            result = xmlrpc.client.Fault(-32500, f"RuntimeError: PyPI no longer supports the XMLRPC method {method!r}")
    answer = result if isinstance(result, xmlrpc.client.Fault) else (result,)
    return xmlrpc.client.dumps(answer, methodresponse=True, allow_none=True).encode()

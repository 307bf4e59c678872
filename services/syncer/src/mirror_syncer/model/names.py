"""File names, digests and places in the tree, parsed into types that are always valid."""

import re
from functools import lru_cache
from typing import NewType
from urllib.parse import quote, urlsplit

from packaging.utils import NormalizedName, canonicalize_name, is_normalized_name

from mirror_syncer.errors import FileRejectedError

Filename = NewType("Filename", str)
"""A path component that is safe to store and to serve: see ``parse_filename``."""

Sha256 = NewType("Sha256", str)
"""64 lower-case hexadecimal digits."""

PackagePath = NewType("PackagePath", str)
"""A file's place below ``pypi/web``: ``packages/<2 hex>/<file>``, or PyPI's full path if the short one was taken."""

_DIRECTORY = re.compile(r"[0-9a-f]{2}")  # of PyPI's full paths, in the same directory as files at short paths
_FORBIDDEN = re.compile(r"[/\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# URL scheme of files.pythonhosted.org: blake2b-256 of the content, split 2/2/60
_CONTENT_PATH = re.compile(r"/packages/([0-9a-f]{2})/([0-9a-f]{2})/([0-9a-f]{60})/[^/]+")
_PACKAGE_PATH = re.compile(r"packages/[0-9a-f]{2}/(?:[0-9a-f]{2}/[0-9a-f]{60}/)?([^/]+)")
# PyPI's limit is 1 GiB. Without one, a declared exabyte would end a run for lack of disk space.
MAX_FILE_BYTES = 16 * 2**30
# Every type that PyPI ever accepted (in 2026: whl, tar.gz, egg, zip, exe, tar.bz2, msi, rpm, tgz, dmg, deb), archives
# that distutils created and pip reads, and the index of wheel variants. Browsers execute none.
_TYPES = (
    *(".whl", ".egg", ".exe", ".msi", ".rpm", ".dmg", ".deb", ".zip", ".tar", ".tgz", ".tbz", ".txz", ".tlz", ".bz2"),
    *(".tar.gz", ".tar.xz", ".tar.lz", ".tar.lzma", ".tar.z", ".tar.zst", "-variants.json"),
)
MAX_NAME_BYTES = 255  # of a path component on ext4, XFS, btrfs and ZFS; the longest on PyPI has 253


def parse_filename(text: str) -> Filename:
    """
    Return a distribution's file name as a safe path component.

    Raises:
        FileRejectedError: it is empty, hidden, too long, or contains a separator or a control character; or it could be
            mistaken for another file's metadata, or for a directory.
    """
    if not text or text.startswith(".") or _FORBIDDEN.search(text):
        raise FileRejectedError(
            f"{text[:120]!r} is not a valid file name: empty, hidden, or with '/', '\\' or a control character"
        )
    if len(text.encode()) > MAX_NAME_BYTES:
        raise FileRejectedError(
            f"{text[:60]!r}… is too long for a file name: {len(text.encode())} bytes, at most {MAX_NAME_BYTES}"
        )
    if text.lower().endswith(".metadata"):
        raise FileRejectedError(f"{text[:120]!r} could be mistaken for another file's metadata")
    if _DIRECTORY.fullmatch(text):
        raise FileRejectedError(f"{text!r} could be mistaken for a directory")
    return Filename(text)


def parse_distribution_name(text: str, *, project: NormalizedName) -> Filename:
    """
    Return the file name of a project's distribution, after checks that allow for upstreams' spellings.

    A valid name begins with the project's name, in any spelling equivalent by PEP 503, and a separator (in a wheel's
    name ``-``). It ends with a file type that PyPI ever accepted.

    Raises:
        FileRejectedError: it belongs to another project, has an unknown type (which a browser might open), or contains
            invisible characters.
    """
    filename = parse_filename(text)
    if not text.isprintable() or "\ufffd" in text:
        raise FileRejectedError(f"{text[:120]!r} is not a valid file name: it has invisible characters")
    if not text.endswith((".whl", ".tar.gz")) and not text.lower().endswith(_TYPES):
        raise FileRejectedError(f"{text[:120]!r} has no file type of a package index, such as .whl or .tar.gz")
    if not _is_of(project, text):
        raise FileRejectedError(f"{text[:120]!r} belongs to another project: it does not begin with {project!r}")
    return filename


def _is_of(project: NormalizedName, filename: str) -> bool:
    # The usual spelling; the full check takes ten times as long.
    first, dash, _ = filename.partition("-")
    if dash and first.lower().replace("_", "-") == project:
        return True
    if not canonicalize_name(filename).startswith(f"{project}-"):
        return False
    if not filename.lower().endswith(".whl"):
        return True
    # requests_toolbelt-1.0-py3-none-any.whl begins with "requests", but belongs to another project.
    parts = filename.split("-", project.count("-") + 1)
    return any(canonicalize_name("-".join(parts[:cut])) == project for cut in range(1, len(parts)))


def parse_sha256(text: str) -> Sha256:
    """
    Return a sha256 in lower case.

    Raises:
        FileRejectedError: it is not 64 hexadecimal digits.
    """
    if not _SHA256.fullmatch(digest := text.lower()):
        raise FileRejectedError(f"{text[:80]!r} is not a valid sha256: 64 hexadecimal digits expected")
    return Sha256(digest)


def parse_package_path(text: str) -> PackagePath:
    """
    Return a file's place in the tree, as this mirror's pages and its catalog store it.

    Raises:
        FileRejectedError: it is not a valid place.
    """
    if (match := _PACKAGE_PATH.fullmatch(text)) is None:
        raise FileRejectedError(f"{text[:120]!r} is not a place below packages/")
    parse_filename(match[1])
    return PackagePath(text)


def quote_place(place: PackagePath) -> str:
    """
    Return a place as part of a URL, with exactly the escapes of PyPI's URLs.

    With more escapes, programs that derive the file name from a URL would look for ``1.0%2Bcpu``.
    """
    return quote(place, safe="/~!$&'()*+,;=:@")


def possible_projects(filename: str) -> frozenset[NormalizedName]:
    """Return the possible projects of a file name: ``foo-bar-1.0.tar.gz`` may belong to foo or foo-bar."""
    parts = filename.split("-")
    prefixes = ("-".join(parts[:cut]) for cut in range(1, len(parts)))
    return frozenset(canonicalize_name(prefix) for prefix in prefixes if is_normalized_name(canonicalize_name(prefix)))


def content_digest(url_path: str) -> str | None:
    """Return the content's blake2b-256 from a file URL of PyPI, or None for another kind of URL."""
    match = _CONTENT_PATH.fullmatch(url_path)
    return match and "".join(match.groups())


@lru_cache(maxsize=1024)  # asked before and after each download
def url_digest(url: str) -> str | None:
    """Return the content's blake2b-256 from the whole URL of a file, as ``content_digest`` does from its path."""
    return content_digest(urlsplit(url).path)


def short_path(blake2b: str, filename: Filename) -> PackagePath:
    """Return a file's short path: 256 directories for 20.8 M files are faster than 20.8 M directories."""
    return PackagePath(f"packages/{blake2b[:2]}/{filename}")


def full_path(blake2b: str, filename: Filename) -> PackagePath:
    """Return a file's full path, used if its short path ever held other content: no URL ever changes its content."""
    return PackagePath(f"packages/{blake2b[:2]}/{blake2b[2:4]}/{blake2b[4:]}/{filename}")


def metadata_name(filename: str) -> str:
    """Return the name of a file's ``.metadata`` (PEP 658), which may be too long: see ``View.keeps_metadata``."""
    return f"{filename}.metadata"

"""File names, digests and places in the tree, parsed once into types that cannot be wrong."""

import re
from typing import NewType
from urllib.parse import quote

from packaging.utils import NormalizedName, canonicalize_name, is_normalized_name

from mirror_syncer.errors import FileRejectedError

Filename = NewType("Filename", str)
"""One path component that may be stored and served: see ``parse_filename``."""

Sha256 = NewType("Sha256", str)
"""64 lower-case hexadecimal digits."""

PackagePath = NewType("PackagePath", str)
"""A file's place below ``pypi/web``: ``packages/<2 hex>/<file>``, or PyPI's full path where the short one was taken."""

_DIRECTORY = re.compile(r"[0-9a-f]{2}")  # of PyPI's full paths, beside the files of the short ones
_FORBIDDEN = re.compile(r"[/\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# protocol of files.pythonhosted.org: blake2b-256 of the content, split 2/2/60
_CONTENT_PATH = re.compile(r"/packages/([0-9a-f]{2})/([0-9a-f]{2})/([0-9a-f]{60})/[^/]+")
_PACKAGE_PATH = re.compile(r"packages/[0-9a-f]{2}/(?:[0-9a-f]{2}/[0-9a-f]{60}/)?([^/]+)")
# Of a file, in bytes; PyPI's own cap is 1 GiB. Who claims an exabyte must not end a run for want of room.
MAX_FILE_BYTES = 16 * 2**30
# Every type that PyPI ever took (as it counted in 2026: whl, tar.gz, egg, zip, exe, tar.bz2, msi, rpm, tgz, dmg, deb),
# the archives that distutils made and pip reads, and what lies beside wheels of several variants. No browser runs them.
_TYPES = (
    *(".whl", ".egg", ".exe", ".msi", ".rpm", ".dmg", ".deb", ".zip", ".tar", ".tgz", ".tbz", ".txz", ".tlz", ".bz2"),
    *(".tar.gz", ".tar.xz", ".tar.lz", ".tar.lzma", ".tar.z", ".tar.zst", "-variants.json"),
)
MAX_NAME_BYTES = 255  # bytes of a path component on ext4, XFS, btrfs and ZFS; the longest on PyPI has 253


def parse_filename(text: str) -> Filename:
    """
    Return a distribution's file name, which is safe as a path component.

    Raises:
        FileRejectedError: it is empty, hidden, too long, or holds a separator or a control character, or it would be
            mistaken for another file's metadata, or for a directory.
    """
    if not text or text.startswith(".") or _FORBIDDEN.search(text):
        raise FileRejectedError(
            f"{text[:120]!r} is no file name: empty, hidden, or with a '/', '\\' or control character"
        )
    if len(text.encode()) > MAX_NAME_BYTES:
        raise FileRejectedError(
            f"{text[:60]!r}… is too long for a file name: {len(text.encode())} bytes, at most {MAX_NAME_BYTES}"
        )
    if text.lower().endswith(".metadata"):
        raise FileRejectedError(f"{text[:120]!r} would be taken for another file's metadata")
    if _DIRECTORY.fullmatch(text):
        raise FileRejectedError(f"{text!r} would be taken for a directory")
    return Filename(text)


def parse_distribution_name(text: str, *, project: NormalizedName) -> Filename:
    """
    Return the file name of one of a project's distributions, as an upstream may name it.

    Taken is a name that begins with the project's, in any spelling that PEP 503 knows, and then a separator (a ``-`` in
    a wheel's), and that ends with a type which PyPI ever had.

    Raises:
        FileRejectedError: it is another project's, of a type that no installer takes and a browser may open, or it has
            characters that cannot be seen.
    """
    filename = parse_filename(text)
    if not text.isprintable() or "\ufffd" in text:
        raise FileRejectedError(f"{text[:120]!r} is no file name: it has characters that cannot be seen")
    if not text.endswith((".whl", ".tar.gz")) and not text.lower().endswith(_TYPES):
        raise FileRejectedError(f"{text[:120]!r} is of no type that a package index has, such as .whl or .tar.gz")
    if not _is_of(project, text):
        raise FileRejectedError(f"{text[:120]!r} is another project's: it does not begin with {project!r}")
    return filename


def _is_of(project: NormalizedName, filename: str) -> bool:
    # As nearly all are spelled; the rest takes ten times as long.
    first, dash, _ = filename.partition("-")
    if dash and first.lower().replace("_", "-") == project:
        return True
    if not canonicalize_name(filename).startswith(f"{project}-"):
        return False
    if not filename.lower().endswith(".whl"):
        return True
    # requests_toolbelt-1.0-py3-none-any.whl begins with "requests" and is not its.
    parts = filename.split("-", project.count("-") + 1)
    return any(canonicalize_name("-".join(parts[:cut])) == project for cut in range(1, len(parts)))


def parse_sha256(text: str) -> Sha256:
    """
    Return a digest.

    Raises:
        FileRejectedError: it is not 64 hexadecimal digits.
    """
    if not _SHA256.fullmatch(digest := text.lower()):
        raise FileRejectedError(f"{text[:80]!r} is no sha256: 64 hexadecimal digits")
    return Sha256(digest)


def parse_package_path(text: str) -> PackagePath:
    """
    Return a file's place in the tree, as our own pages and the catalog hold it.

    Raises:
        FileRejectedError: it is none.
    """
    if (match := _PACKAGE_PATH.fullmatch(text)) is None:
        raise FileRejectedError(f"{text[:120]!r} is no place below packages/")
    parse_filename(match[1])
    return PackagePath(text)


def quote_place(place: PackagePath) -> str:
    """
    Return a place as a part of a URL, escaped as in PyPI's URLs, and no more.

    Programs that take the last part of a URL for the file's name look for ``1.0%2Bcpu`` where they were told of it.
    """
    return quote(place, safe="/~!$&'()*+,;=:@")


def possible_projects(filename: str) -> frozenset[NormalizedName]:
    """Return the projects that a file may be of, by its name alone: ``foo-bar-1.0.tar.gz`` is foo's or foo-bar's."""
    parts = filename.split("-")
    prefixes = ("-".join(parts[:cut]) for cut in range(1, len(parts)))
    return frozenset(canonicalize_name(prefix) for prefix in prefixes if is_normalized_name(canonicalize_name(prefix)))


def content_digest(url_path: str) -> str | None:
    """Return the blake2b-256 of the content, which PyPI writes into a file's URL, or None of another kind of URL."""
    match = _CONTENT_PATH.fullmatch(url_path)
    return match and "".join(match.groups())


def short_path(blake2b: str, filename: Filename) -> PackagePath:
    """Return where a file belongs: 256 directories hold 20.8 M files faster than 20.8 M directories do."""
    return PackagePath(f"packages/{blake2b[:2]}/{filename}")


def full_path(blake2b: str, filename: Filename) -> PackagePath:
    """Return where a file goes whose short path once held other content: no URL ever changes its bytes."""
    return PackagePath(f"packages/{blake2b[:2]}/{blake2b[2:4]}/{blake2b[4:]}/{filename}")


def metadata_name(filename: str) -> str:
    """Return the name of a file's ``.metadata`` (PEP 658), which may be too long to store: ``View.keeps_metadata``."""
    return f"{filename}.metadata"

"""The packages of an image: Debian's, Python's and npm's, from their own metadata."""

import json
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from debian.deb822 import Packages

from bills import licences

# As root, which can read everything; without network and read-only.
_RUN = ("docker", "run", "--rm", "--network=none", "--read-only", "--user=0", "--entrypoint=sh")
_COLLECT = """cd /
{
  echo var/lib/dpkg/status
  find -L usr/share/doc -name copyright
  find opt/mirror -path '*.dist-info/METADATA'
  find opt/mirror -name package-lock.json
} 2>/dev/null | tar --create --dereference --files-from=-"""
# Libraries bundled in wheels: libcurl's own list of its libraries, the versions of two libraries that it omits, and the
# file name of each shared library.
_BUNDLED = r"""set -- /opt/mirror/lib/python3*/site-packages
test -d "$1/pycurl.libs" || exit 0
cd "$1"
/opt/mirror/bin/python - <<'SCRIPT'
import ctypes, glob, pycurl
print(*pycurl.version.split()[1:])
unistring = ctypes.CDLL(*glob.glob("pycurl.libs/libunistring-*"), mode=ctypes.RTLD_GLOBAL)
number = ctypes.c_int.in_dll(unistring, "_libunistring_version").value
idn2 = ctypes.CDLL(*glob.glob("pycurl.libs/libidn2-*"))
idn2.idn2_check_version.restype = ctypes.c_char_p
print(f"libunistring/{number >> 16}.{number >> 8 & 255}.{number & 255}")
print(f"libidn2/{idn2.idn2_check_version(None).decode()}")
print(*glob.glob("*.libs/*.so*"))
SCRIPT"""

# As in libcrypto-fa202293.so.3, auditwheel's name for libcrypto.so.3.
_HASH = re.compile(r"-[0-9a-f]{8}$")


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """
    A package with its version and licence.

    Attributes:
        kind: its type by the package URL specification: deb, pypi, npm, or generic for libraries bundled in wheels.
        licence: an SPDX expression, or else the package's own text; empty if unknown.
    """

    kind: str
    name: str
    version: str
    licence: str = ""
    architecture: str = ""


def read_image(image: str) -> list[Package]:
    """
    Return all packages of an image.

    Raises:
        subprocess.CalledProcessError: the image does not exist, or has no shell.
    """
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        collected = subprocess.run((*_RUN, image, "-c", _COLLECT), stdout=subprocess.PIPE, check=True).stdout  # noqa: S603 - constant arguments
        (root / "collected.tar").write_bytes(collected)
        with tarfile.open(root / "collected.tar") as archive:
            archive.extractall(root, filter="data")
        bundled = subprocess.run((*_RUN, image, "-c", _BUNDLED), stdout=subprocess.PIPE, check=True, text=True).stdout  # noqa: S603 - constant arguments
        python = [found for place in root.glob("opt/mirror/lib/python3*/site-packages") for found in _python(place)]
        page = [found for lock in root.glob("opt/mirror/**/package-lock.json") for found in read_lock(lock)]
        return sorted({*_debian(root), *python, *page, *read_bundled(bundled)})


def _debian(root: Path) -> Iterator[Package]:
    with (root / "var/lib/dpkg/status").open() as status:
        for package in Packages.iter_paragraphs(status, use_apt_pkg=False):
            if package["Status"].endswith(" installed"):
                path = root / "usr/share/doc" / package["Package"] / "copyright"
                licence = licences.of_debian(path.read_text(errors="replace")) if path.is_file() else ""
                yield Package("deb", package["Package"], package["Version"], licence, package["Architecture"])


def _python(place: Path) -> Iterator[Package]:
    for found in distributions(path=[str(place)]):
        yield Package("pypi", found.name, found.version, licences.of_distribution(found.metadata))


def read_lock(lock: Path) -> Iterator[Package]:
    """Yield the packages that an npm lock file installs into an image."""
    for place, found in json.loads(lock.read_text())["packages"].items():
        # "" is the lock's own package; dev packages are not in the image.
        if place and not found.get("dev"):
            name = place.removeprefix("node_modules/")
            yield Package("npm", name, found["version"], licences.of_npm(found.get("license", "")))


def read_bundled(printed: str) -> Iterator[Package]:
    """
    Yield the libraries bundled in wheels.

    Args:
        printed: ``name/version`` words, then file paths, separated by white space.

    A library without a version is listed with the version ``unknown``.
    """
    words = printed.lower().split()
    versions = dict(word.split("/", 1) for word in words if ".libs/" not in word)
    files = [word.rpartition("/")[2] for word in words if ".libs/" in word]
    stems = {_HASH.sub("", file.partition(".so")[0]) for file in files}
    names = {licences.BUNDLED_FILES.get(stem, stem) for stem in stems}
    for name in sorted(versions.keys() | names):
        yield Package("generic", name, versions.get(name, "unknown"), licences.OF_BUNDLED.get(name, ""))

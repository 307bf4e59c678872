"""What an image holds: Debian's packages, Python's and npm's, as they say themselves."""

import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from debian.deb822 import Packages

from sbom import licences

# As root, who can read all of it; without a network, and never written to.
_RUN = ("docker", "run", "--rm", "--network=none", "--read-only", "--user=0", "--entrypoint=sh")
_COLLECT = """cd /
{
  echo var/lib/dpkg/status
  find -L usr/share/doc -name copyright
  find opt/mirror -path '*.dist-info/METADATA'
  find opt/mirror -name package-lock.json
} 2>/dev/null | tar --create --dereference --files-from=-"""
_LIBCURL = """set -- /opt/mirror/lib/python3*/site-packages/pycurl
test ! -d "$1" || /opt/mirror/bin/python -c 'import pycurl; print(pycurl.version)'"""


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """
    Something with a version and a licence.

    Attributes:
        kind: whose it is, in the words of a package URL: deb, pypi, npm, or generic for what a wheel carries along.
        licence: an SPDX expression, the package's own words, or nothing where nobody said.
    """

    kind: str
    name: str
    version: str
    licence: str = ""
    architecture: str = ""


def read_image(image: str) -> list[Package]:
    """
    Return all that is installed in an image.

    Raises:
        subprocess.CalledProcessError: there is no such image, or no shell in it.
    """
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        collected = subprocess.run((*_RUN, image, "-c", _COLLECT), stdout=subprocess.PIPE, check=True).stdout  # noqa: S603 - our own
        (root / "collected.tar").write_bytes(collected)
        with tarfile.open(root / "collected.tar") as archive:
            archive.extractall(root, filter="data")
        told = subprocess.run((*_RUN, image, "-c", _LIBCURL), stdout=subprocess.PIPE, check=True, text=True).stdout  # noqa: S603 - our own
        python = [found for place in root.glob("opt/mirror/lib/python3*/site-packages") for found in _python(place)]
        page = [found for lock in root.glob("opt/mirror/**/package-lock.json") for found in read_lock(lock)]
        return sorted({*_debian(root), *python, *page, *_libcurl(told)})


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
    """Yield what an npm lock file puts into an image."""
    for place, found in json.loads(lock.read_text())["packages"].items():
        # "" is the lock's own package; what is marked dev is not in the image.
        if place and not found.get("dev"):
            name = place.removeprefix("node_modules/")
            yield Package("npm", name, found["version"], licences.of_npm(found.get("license", "")))


def _libcurl(told: str) -> Iterator[Package]:
    # As in: PycURL/7.49.0 libcurl/8.23.0 OpenSSL/3.6.5
    for word in told.split()[1:]:
        name, _, version = word.lower().partition("/")
        yield Package("generic", name, version, licences.OF_LIBCURL.get(name, ""))

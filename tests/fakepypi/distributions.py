"""Real wheels and source distributions, small and reproducible."""

import base64
import gzip
import hashlib
import io
import random
import tarfile
import zipfile
from dataclasses import dataclass

from packaging.utils import canonicalize_name

PURE = "py3-none-any"

# An in-tree backend needs no download, so pip builds our source distributions without Internet access.
_BUILD_SYSTEM = b'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
_BACKEND = b'''"""Builds the wheel by handing out the one that is packed beside it."""

import pathlib
import shutil


def build_wheel(directory, config_settings=None, metadata_directory=None):
    [wheel] = pathlib.Path("built").glob("*.whl")
    shutil.copy(wheel, directory)
    return wheel.name
'''


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """A built distribution."""

    filename: str
    content: bytes
    metadata: bytes | None = None  # the metadata file beside it (PEP 658); PyPI has one for wheels only


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The input of a build: equal recipes give equal bytes."""

    name: str
    version: str
    requires_dist: tuple[str, ...] = ()
    requires_python: str | None = None
    padding: int = 0  # bytes of noise, which no compression shrinks
    seed: int = 0

    @property
    def stem(self) -> str:
        """The name as file names have it (PEP 427, PEP 625)."""
        return canonicalize_name(self.name).replace("-", "_")

    def metadata(self) -> bytes:
        """Return the core metadata: METADATA in a wheel, PKG-INFO in a source distribution."""
        lines = ["Metadata-Version: 2.1", f"Name: {self.name}", f"Version: {self.version}", "Summary: Made for a test"]
        if self.requires_python is not None:
            lines.append(f"Requires-Python: {self.requires_python}")
        lines.extend(f"Requires-Dist: {requirement}" for requirement in self.requires_dist)
        return ("\n".join(lines) + "\n").encode()

    def sources(self) -> dict[str, bytes]:
        """Return the package's files, by path."""
        files = {f"{self.stem}/__init__.py": f'__version__ = "{self.version}"\n'.encode()}
        if self.padding:
            noise = random.Random(f"{self.seed} {self.stem} {self.version}")
            files[f"{self.stem}/padding.bin"] = noise.randbytes(self.padding)
        return files


def build_wheel(recipe: Recipe, tag: str = PURE) -> Distribution:
    """Return a wheel with its METADATA, WHEEL and RECORD; its code is Python, whatever its tag says."""
    info = f"{recipe.stem}-{recipe.version}.dist-info"
    files = recipe.sources()
    files[f"{info}/METADATA"] = recipe.metadata()
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: fakepypi\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    record = "".join(f"{path},{_record_hash(content)},{len(content)}\n" for path, content in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as wheel:
        for path, content in files.items():
            wheel.writestr(zipfile.ZipInfo(path), content)  # dated 1980, stored: no clock and no zlib in the bytes
    return Distribution(
        filename=f"{recipe.stem}-{recipe.version}-{tag}.whl",
        content=archive.getvalue(),
        metadata=recipe.metadata(),
    )


def build_sdist(recipe: Recipe) -> Distribution:
    """Return a source distribution that pip can build offline."""
    wheel = build_wheel(recipe)
    folder = f"{recipe.stem}-{recipe.version}"
    files = {
        "PKG-INFO": recipe.metadata(),
        "pyproject.toml": _BUILD_SYSTEM,
        "backend.py": _BACKEND,
        f"built/{wheel.filename}": wheel.content,
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as sdist:
        for path, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{path}")
            member.size = len(content)
            sdist.addfile(member, io.BytesIO(content))
    return Distribution(filename=f"{folder}.tar.gz", content=gzip.compress(archive.getvalue(), mtime=0))


def _record_hash(content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
    return f"sha256={digest.decode()}"

"""A synthetic, reproducible part of PyPI: pages and files."""

import gzip
import hashlib
import io
import json
import random
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

_TWO_WHEELS = 0.4  # the share of releases with a second wheel, for a platform
_UPLOADED = "2024-02-29T12:00:00"
_SERIAL = 1_000_000  # plus the project's six-digit number: nginx derives the header from the name
_WORDS = ("amber", "birch", "cobalt", "delta", "ember", "fjord", "grove", "harbor", "indigo", "juniper")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The parameters of a corpus; equal parameters give equal bytes."""

    projects: int
    releases: float
    """The mean number of releases; each project has at least one."""
    smallest: int
    largest: int
    """The size of the largest distribution, in bytes."""
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A distribution, and what a mirror must store of it."""

    project: str
    version: str
    filename: str
    size: int
    sha256: str
    blake2b: str
    metadata_sha256: str | None
    """The hash of its ``.metadata`` (PEP 658); only wheels have one."""

    @property
    def path(self) -> str:
        """PyPI's path below ``/packages/``."""
        return f"{self.blake2b[:2]}/{self.blake2b[2:4]}/{self.blake2b[4:]}/{self.filename}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """The corpus on upstream's disk."""

    directory: Path
    projects: tuple[str, ...]
    files: tuple[File, ...]

    @property
    def file_count(self) -> int:
        """The number of files in a complete mirror, each ``.metadata`` included."""
        return len(self.files) + sum(file.metadata_sha256 is not None for file in self.files)

    @property
    def byte_count(self) -> int:
        """The total size of the distributions in bytes."""
        return sum(file.size for file in self.files)

    def announce(self, projects: int) -> "Corpus":
        """Limit the project list to the first projects, and return that smaller corpus."""
        names = self.projects[:projects]
        listed = [{"name": name, "_last-serial": serial(name)} for name in names]
        meta = {"api-version": "1.4", "_last-serial": serial(names[-1])}
        write_page(self.directory / "simple.json", {"meta": meta, "projects": listed})
        chosen = frozenset(names)
        return Corpus(
            directory=self.directory,
            projects=names,
            files=tuple(file for file in self.files if file.project in chosen),
        )


def serial(project: str) -> int:
    """Return a project's serial."""
    return _SERIAL + int(project.rpartition("-")[2])


def build_corpus(shape: Shape, directory: Path, *, origin: str) -> Corpus:
    """Write pages, legacy JSON and files into a new directory; ``origin`` is the URL that will serve them."""
    for folder in ("simple", "legacy", "packages"):
        (directory / folder).mkdir(parents=True)
    names = tuple(f"{_WORDS[number % len(_WORDS)]}-{number:06}" for number in range(shape.projects))
    files: list[File] = []
    for name in names:
        own = list(_build_project(name, shape, directory / "packages"))
        write_page(directory / "simple" / f"{name}.json", page(name, own, origin, last=serial(name)))
        write_page(directory / "legacy" / f"{name}.json", legacy(name, own, origin, last=serial(name)))
        files += own
    return Corpus(directory=directory, projects=names, files=tuple(files)).announce(len(names))


def _build_project(name: str, shape: Shape, packages: Path) -> Iterator[File]:
    dice = random.Random(f"{shape.seed} {name}")
    stem = name.replace("-", "_")
    extra = dice.expovariate(1 / (shape.releases - 1)) if shape.releases > 1 else 0.0
    for number in range(1 + min(round(extra), 50)):
        version = f"1.{number}.0"
        store = partial(store_file, project=name, version=version, packages=packages)
        yield store(f"{stem}-{version}.tar.gz", _noise(dice, shape))
        # Of PyPI's 20.8 M files, 12.3 M are wheels with metadata: 1.4 per source distribution.
        for tag in ("py3-none-any", "cp313-cp313-manylinux_2_28_x86_64")[: 1 + (dice.random() < _TWO_WHEELS)]:
            metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: {tag}\n".encode()
            wheel = _wheel(f"{stem}-{version}", metadata, _noise(dice, shape))
            yield store(f"{stem}-{version}-{tag}.whl", wheel, metadata)


def _noise(dice: random.Random, shape: Shape) -> bytes:
    """Return a source distribution's content: random bytes, as in compressed files; no mirror reads them."""
    return dice.randbytes(dice.randint(shape.smallest, shape.largest))


def _wheel(stem: str, metadata: bytes, content: bytes) -> bytes:
    """Return a valid wheel, because mirrors may read its metadata."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(f"{stem.partition('-')[0]}/content.bin"), content)
        archive.writestr(zipfile.ZipInfo(f"{stem}.dist-info/METADATA"), metadata)
    return buffer.getvalue()


def store_file(
    filename: str, content: bytes, metadata: bytes | None = None, *, project: str, version: str, packages: Path
) -> File:
    """Write a distribution and its ``.metadata`` to PyPI's paths."""
    file = File(
        project=project,
        version=version,
        filename=filename,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        blake2b=hashlib.blake2b(content, digest_size=32).hexdigest(),
        metadata_sha256=None if metadata is None else hashlib.sha256(metadata).hexdigest(),
    )
    path = packages / file.path
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    if metadata is not None:
        path.with_name(f"{filename}.metadata").write_bytes(metadata)
    return file


def page(name: str, files: Sequence[File], origin: str, *, last: int) -> dict[str, Any]:
    """Return a project's page; ``last`` is its serial."""
    return {
        "meta": {"api-version": "1.4", "_last-serial": last},
        "name": name,
        "versions": sorted({file.version for file in files}),
        "files": [
            {
                "filename": file.filename,
                "url": f"{origin}/packages/{file.path}",
                "hashes": {"sha256": file.sha256},
                "requires-python": ">=3.9",
                "size": file.size,
                "upload-time": f"{_UPLOADED}.000000Z",
                "yanked": False,
                "core-metadata": {"sha256": file.metadata_sha256} if file.metadata_sha256 else False,
                "data-dist-info-metadata": {"sha256": file.metadata_sha256} if file.metadata_sha256 else False,
                "provenance": None,
            }
            for file in files
        ],
    }


def legacy(name: str, files: Sequence[File], origin: str, *, last: int) -> dict[str, Any]:
    """Return a project's legacy JSON document; ``last`` is its serial."""
    releases: dict[str, list[dict[str, Any]]] = {}
    for file in files:
        releases.setdefault(file.version, []).append(
            {
                "filename": file.filename,
                "url": f"{origin}/packages/{file.path}",
                "digests": {"sha256": file.sha256, "blake2b_256": file.blake2b},
                "requires_python": ">=3.9",
                "size": file.size,
                "upload_time": _UPLOADED,
                "upload_time_iso_8601": f"{_UPLOADED}.000000Z",
                "packagetype": "bdist_wheel" if file.metadata_sha256 else "sdist",
                "yanked": False,
                "yanked_reason": None,
                "core-metadata": {"sha256": file.metadata_sha256} if file.metadata_sha256 else False,
            }
        )
    info = {"name": name, "version": files[-1].version, "summary": "Made for a measurement"}
    return {"info": info, "last_serial": last, "releases": releases, "urls": releases[files[-1].version]}


def write_page(path: Path, document: dict[str, Any] | str) -> None:
    """Write a page and its .gz file, which nginx sends unchanged."""
    text = document if isinstance(document, str) else json.dumps(document, separators=(",", ":"))
    body = text.encode()
    path.write_bytes(body)
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(body, compresslevel=3, mtime=0))

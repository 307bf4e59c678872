"""Checks of the result: every file with its hash, no other file, every page with every file."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.contenders import Contender
from bench.corpus import Corpus
from bench.stubs import Stubs

_TOLD = 5


def check_tree(contender: Contender, home: Path, corpus: Corpus) -> None:
    """
    Compare a tree with the corpus.

    Raises:
        RuntimeError: they differ; the message lists the first differences.
    """
    web = contender.web(home)
    wrong = [*_wrong_files(contender, web / "packages", corpus), *_wrong_pages(web / "simple", corpus)]
    if wrong:
        told = "\n".join(f"  {line}" for line in wrong[:_TOLD])
        raise RuntimeError(f"{contender.name} left {len(wrong):,} differences from upstream in {home}:\n{told}")


def check_stub_pages(contender: Contender, home: Path, stubs: Stubs) -> None:
    """
    Compare pages and files of changed projects with upstream's; if none changed, check every page.

    Raises:
        RuntimeError: a page or file differs or is missing.
    """
    web = contender.web(home)
    for name in stubs.releases or stubs.names:
        files = stubs.releases.get(name, ())
        page = json.loads((web / "simple" / name / "index.v1_json").read_bytes())
        if {file["filename"]: file["hashes"]["sha256"] for file in page["files"]} != {
            f.filename: f.sha256 for f in files
        }:
            raise RuntimeError(f"{contender.name}: other files on the page of {name}")
        for file in files:
            if _sha256(web / "packages" / contender.place(file)) != file.sha256:
                raise RuntimeError(f"{contender.name}: other content: {file.filename}")


def check_stub_list(contender: Contender, home: Path, stubs: Stubs) -> None:
    """
    Compare a published project list, in all four forms, with upstream's.

    Raises:
        RuntimeError: it differs.
    """
    simple = contender.web(home) / "simple"
    for form in ("index.html", "index.v1_json"):
        if gzip.decompress((simple / f"{form}.gz").read_bytes()) != (simple / form).read_bytes():
            raise RuntimeError(f"{contender.name}: the twin of {form} says something else")
    projects = json.loads((simple / "index.v1_json").read_bytes())["projects"]
    if {one["name"]: one["_last-serial"] for one in projects} != {name: stubs.serial(name) for name in stubs.names}:
        raise RuntimeError(f"{contender.name}: the list names {len(projects):,} projects, or gives them other serials")
    if (simple / "index.html").read_text(encoding="utf-8").count("<a href=") != len(stubs.names):
        raise RuntimeError(f"{contender.name}: the list in HTML names another number of projects")


def _wrong_files(contender: Contender, packages: Path, corpus: Corpus) -> Iterator[str]:
    expected = {contender.place(file): file.sha256 for file in corpus.files}
    expected |= {
        f"{contender.place(file)}.metadata": file.metadata_sha256 for file in corpus.files if file.metadata_sha256
    }
    found = {str(path.relative_to(packages)) for path in packages.rglob("*") if path.is_file()}
    yield from (f"missing: {path}" for path in sorted(expected.keys() - found))
    yield from (f"not upstream's: {path}" for path in sorted(found - expected.keys()))
    there = sorted(expected.keys() & found)
    with ThreadPoolExecutor() as threads:
        for path, digest in zip(there, threads.map(lambda path: _sha256(packages / path), there), strict=True):
            if digest != expected[path]:
                yield f"other content: {path}"


def _wrong_pages(simple: Path, corpus: Corpus) -> Iterator[str]:
    expected: dict[str, dict[str, str]] = {name: {} for name in corpus.projects}
    for file in corpus.files:
        expected[file.project][file.filename] = file.sha256
    for name, files in expected.items():
        page = json.loads((simple / name / "index.v1_json").read_bytes())
        if {file["filename"]: file["hashes"]["sha256"] for file in page["files"]} != files:
            yield f"other files on the JSON page of {name}"
        html = (simple / name / "index.html").read_text(encoding="utf-8")
        if not all(f">{filename}</a>" in html for filename in files):
            yield f"files missing on the HTML page of {name}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

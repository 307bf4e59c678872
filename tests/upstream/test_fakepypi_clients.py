"""Real clients read the fake PyPI, so the other tests mirror what pip accepts."""

import asyncio
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pypi_simple import ACCEPT_JSON_ONLY, PyPISimple

import fakepypi
from fakepypi.corpus import upload_ecosystem

_REQUIRED_BY_REQUESTS = ("certifi", "charset_normalizer", "idna", "urllib3")


@pytest.fixture
async def pypi() -> AsyncIterator[fakepypi.FakePyPI]:
    """The ecosystem, served."""
    async with fakepypi.serve(upload_ecosystem(fakepypi.Index())) as pypi:
        yield pypi


async def run(*command: str | Path) -> None:
    """Run a program to its end without blocking the server, and show its output if it fails."""
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def names_in(folder: Path) -> set[str]:
    """Return the names in a folder."""
    return {path.name for path in folder.iterdir()}


async def test_indexes_with_equal_seeds_are_equal() -> None:
    """Two indexes with one seed have the same bytes, serials and times; another seed gives others."""
    one, same, another = (upload_ecosystem(fakepypi.Index(seed=seed)) for seed in (1, 1, 2))
    assert one.journal == same.journal
    assert [project.files for project in one] == [project.files for project in same]
    assert one.journal != another.journal


async def test_pip_installs_from_the_fake_pypi(pypi: fakepypi.FakePyPI, tmp_path: Path) -> None:
    """Real pip resolves the ecosystem's dependencies, and installs a wheel and a source distribution."""
    pip = (sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "download")
    options = ("--no-cache-dir", "--index-url", f"{pypi.url}/simple/", "--dest", tmp_path)
    await run(*pip, *options, "requests")
    await run(*pip, *options, "--no-deps", "--no-build-isolation", "--no-binary", ":all:", "six==1.16.0")
    names = names_in(tmp_path)
    assert {name.partition("-")[0] for name in names} == {"requests", "six", *_REQUIRED_BY_REQUESTS}
    assert {"requests-2.32.3-py3-none-any.whl", "six-1.16.0.tar.gz"} < names
    with zipfile.ZipFile(tmp_path / "requests-2.32.3-py3-none-any.whl") as wheel:
        assert wheel.testzip() is None


async def test_pypi_simple_reads_the_fake_pypi(pypi: fakepypi.FakePyPI) -> None:
    """An independent reader finds the same in HTML as in JSON, except for fields that HTML lacks."""
    with PyPISimple(f"{pypi.url}/simple/") as html, PyPISimple(f"{pypi.url}/simple/", accept=ACCEPT_JSON_ONLY) as json:
        pages = [await asyncio.to_thread(reader.get_project_page, "requests") for reader in (html, json)]
        index = await asyncio.to_thread(json.get_index_page)
    assert "zope.interface" in index.projects
    for page in pages:
        assert page.last_serial == str(pypi.index.project("requests").serial)
        assert {package.filename for package in page.packages} == {
            file.filename for file in pypi.index.project("requests").files
        }
        assert {package.version for package in page.packages if package.is_yanked} == {"2.32.1"}

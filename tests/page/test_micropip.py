"""micropip installs from the mirror, in Pyodide, in a page of another origin."""

import fcntl
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from clients.conftest import site
from clients.guide import snippet
from nginx.conftest import image, network
from nginx.containers import LOGS, Container, mirror
from page.conftest import REPOSITORY
from syncer.site import Site

__all__ = ["image", "network", "site"]

pytestmark = [
    pytest.mark.docker,
    pytest.mark.internet,
    pytest.mark.timeout(300),
    pytest.mark.proves("reliability/clients"),
]

PINNED = Path(__file__).parent / "pyodide"
FETCHED = REPOSITORY / "build/pyodide"

# Start Python in the page once, and run a program in it.
RUN = """
async program => {
  if (!window.pyodide) {
    const {loadPyodide} = await import("/node_modules/pyodide/pyodide.mjs");
    window.pyodide = await loadPyodide();
    await window.pyodide.loadPackage("/micropip-0.11.1-py3-none-any.whl");
  }
  return await window.pyodide.runPythonAsync(program);
}
"""
VERSIONS = """
import importlib.metadata, json
importlib.invalidate_caches()  # a directory that changed within the same moment would be listed as before
json.dumps({d.name: d.version for d in importlib.metadata.distributions()})
"""


def fetch() -> None:
    """Fetch what is pinned, unless it is there."""
    pins = [path.read_bytes() for path in sorted(PINNED.iterdir()) if path.is_file()]
    if [path.read_bytes() for path in sorted((FETCHED / "pins").glob("*"))] != pins:
        shutil.rmtree(FETCHED, ignore_errors=True)
        FETCHED.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PINNED / name, FETCHED)
        tools = Path(sys.executable).parent
        quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        subprocess.run((tools / "npm", "ci", *quiet), cwd=FETCHED, check=True)
        wheel = ("--no-deps", "--only-binary=:all:", "--python-version=3.14", f"--dest={FETCHED}")
        hashed = ("--require-hashes", f"--requirement={PINNED}/requirements.txt")
        subprocess.run((tools / "pip", "download", "--quiet", *wheel, *hashed), check=True)
        shutil.copytree(PINNED, FETCHED / "pins", ignore=shutil.ignore_patterns("node_modules"))


@pytest.fixture(scope="module")
def fetched() -> Path:
    """Return a directory with Pyodide from npm and micropip from PyPI, by pinned hashes; kept for next time."""
    FETCHED.parent.mkdir(exist_ok=True)
    with FETCHED.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # for another process of the same tests
        fetch()
    return FETCHED


@pytest.fixture(scope="module")
def mirrored(site: Site, image: str, network: str) -> Iterator[Container]:
    """Return nginx over a tree that the syncer filled."""
    with mirror(image, site.data, LOGS, f"--network={network}", "--dns=127.0.0.1") as container:
        yield container


@pytest.fixture(scope="module")
def pyodide(mirrored: Container, fetched: Path, browser: Browser) -> Iterator[Page]:
    """Return a page of another origin than the mirror's."""
    handler = partial(_Quiet, directory=str(fetched))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.goto(f"http://127.0.0.1:{server.server_port}/package.json")
        yield page
        page.close()
        server.shutdown()


def in_python(page: Page, program: str, mirrored: Container) -> str:
    """Run a program that names the mirror as the guide does, and return the value of its last expression."""
    host, port = mirrored.address
    return str(page.evaluate(RUN, program.replace("mirror.example:8080", f"{host}:{port}")))


def test_micropip_installs_in_a_browser(pyodide: Page, mirrored: Container) -> None:
    """With the documented URL, micropip installs a project and its dependencies."""
    said = in_python(pyodide, snippet("micropip", "python") + VERSIONS, mirrored)
    for name, version in {"requests": "2.32.3", "urllib3": "2.4.0", "idna": "3.10"}.items():
        assert f'"{name}": "{version}"' in said


def test_micropip_fails_with_the_plain_index_url(pyodide: Page, mirrored: Container) -> None:
    """With only /simple/, micropip cannot install, as it resolves relative URLs only in HTML; the guide says so."""
    program = """
import micropip
try:
    await micropip.install("six", index_urls=["http://mirror.example:8080/simple/"])
except TypeError as error:
    said = str(error)
said
"""
    assert "Cannot download from a non-remote location" in in_python(pyodide, program, mirrored)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Say nothing of a request."""

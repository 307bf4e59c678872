"""bandersnatch mirrors this mirror: the list with serials, the legacy JSON, every file."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import fakepypi
from mirror_contract import RunState
from nginx.containers import LOGS, docker, mirror
from syncer.site import Site

pytestmark = [pytest.mark.docker, pytest.mark.internet]


@pytest.fixture(scope="module")
def bandersnatch() -> str:
    """Return its image."""
    context = Path(__file__).parent / "bandersnatch"
    return docker("build", "--quiet", "--tag=pypi-mirror-test-bandersnatch", str(context)).splitlines()[-1]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[tuple[Site, fakepypi.FakePyPI]]:
    """A mirror host, and its upstream."""
    async with fakepypi.serve() as pypi:
        yield Site(tmp_path, upstream=pypi.url), pypi


class Downstream:
    """A directory that bandersnatch fills."""

    def __init__(self, home: Path, *, image: str, master: str, network: str) -> None:
        self.home = home
        self.web = home / "tree" / "web"
        (home / "tree").mkdir(parents=True)
        # The fastest that works: no second copy of the JSON, sizes and times compared instead of hashes.
        settings = {
            "directory": "/home/tree",
            "master": master,
            "allow-non-https": "true",
            "simple-format": "ALL",
            "workers": 3,
            "compare-method": "stat",
            "stop-on-error": "true",
            "timeout": 10,
        }
        lines = [f"{key} = {value}\n" for key, value in settings.items()]
        (home / "bandersnatch.conf").write_text("[mirror]\n" + "".join(lines))
        user = f"--user={os.getuid()}:{os.getgid()}"
        self._command = ("docker", "run", "--rm", user, f"--network={network}", f"--volume={home}:/home", image)

    def sync(self) -> str:
        """Run bandersnatch, which must succeed, and return what it said."""
        done = subprocess.run(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout
        assert "ERROR" not in done.stdout, done.stdout
        return done.stdout

    def files(self) -> dict[str, str]:
        """Return the sha256 of each file, by its path below packages/."""
        packages = self.web / "packages"
        found = (path for path in packages.rglob("*") if path.is_file())
        return {str(path.relative_to(packages)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


@contextmanager
def downstream(site: Site, *, nginx_image: str, image: str, network: str) -> Iterator[Downstream]:
    """Serve what a site has, and have bandersnatch beside it."""
    with mirror(nginx_image, site.data, LOGS, f"--network={network}", "--dns=127.0.0.1") as container:
        address = container.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
        home = site.data.parent / "downstream"
        yield Downstream(home, image=image, master=f"http://{address}:8080", network=network)
        shutil.rmtree(home)


def ours(site: Site) -> dict[str, str]:
    """Return the sha256 of each file and metadata file that is published, by its path below packages/."""
    found = {}
    for name in site.pages():
        published = site.published(name)
        for filename, file in published.files.items():
            place = published.places[filename].removeprefix("packages/")
            found[place] = str(file.sha256)
            if isinstance(file.core_metadata, str):
                found[f"{place}.metadata"] = str(file.core_metadata)
    return found


@pytest.mark.parametrize("api", ["as PyPI", "absent", "no upload times"])
async def test_bandersnatch_mirrors_the_mirror(
    site: tuple[Site, fakepypi.FakePyPI], image: str, bandersnatch: str, network: str, api: str
) -> None:
    """bandersnatch gets every file with the right hash, and later changes, with and without legacy JSON upstream."""
    host, pypi = site
    if api != "as PyPI":
        pypi.faults.on_legacy().status(404)
    if api == "no upload times":
        pypi.faults.on_page().edit(lambda page: [file.pop("upload-time", None) for file in page.get("files", ())])
    pypi.index.project("Foo.Bar").upload("1.0")
    pypi.index.project("Foo.Bar").upload("2.0+local")
    pypi.index.project("six").upload("1.0")
    pypi.index.project("six").yank("1.0", reason="broken & worse")
    host.select("foo-bar", "six<3", legacy_json=True)
    assert (await host.sync()).state is RunState.SUCCEEDED

    with downstream(host, nginx_image=image, image=bandersnatch, network=network) as peer:
        said = peer.sync()
        assert peer.files() == ours(host)
        assert len(peer.files()) == 9, said
        for name in ("foo-bar", "six"):
            page = (peer.web / "simple" / name / "index.html").read_text()
            assert all(f">{filename}</a>" in page for filename in host.filenames(name))

        pypi.index.project("six").upload("2.0")
        pypi.index.project("six").upload("3.0")
        assert (await host.sync()).state is RunState.SUCCEEDED
        said = peer.sync()
        assert "1 packages to sync" in said
        assert peer.files() == ours(host)
        assert len(peer.files()) == 12

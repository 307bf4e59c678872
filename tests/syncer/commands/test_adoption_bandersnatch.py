"""The mirror adopts a tree of the real bandersnatch while the real pip installs from it."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

import fakepypi
from mirror_contract import RunState
from mirror_syncer.commands.adoption import adopt
from mirror_syncer.config.settings import Settings
from syncer.old_mirror import OldMirror, installing
from syncer.real_index import environment_of
from syncer.site import Site

pytestmark = [pytest.mark.internet, pytest.mark.timeout(180)]

WAYS = {
    "default": "",
    "html": "simple-format = HTML",
    "json": "simple-format = JSON",
    "legacy": "json = true\nhash-index = false",
    "hash-index": "hash-index = true",
    "versions": "keep_index_versions = 2",
    "elsewhere": "root_uri = https://files.pythonhosted.org",
}

Mirror = Callable[[Site, str], Coroutine[None, None, None]]


@pytest.fixture(scope="session")
def bandersnatch() -> Path:
    """Return the program, installed in an environment of its own."""
    return environment_of("bandersnatch") / "bandersnatch"


@pytest.fixture
def mirrored(bandersnatch: Path) -> Mirror:
    """Return a function that runs bandersnatch at the place of the mirror's own tree."""

    async def mirror(site: Site, settings: str) -> None:
        configuration = site.data.parent / "bandersnatch.conf"
        lines = f"directory = {site.data / 'pypi'}\nmaster = {site.upstream}\nallow-non-https = true"
        simple = "" if sys.version_info >= (3, 12) else "api-method = simple"
        configuration.write_text(f"[mirror]\nworkers = 3\n{lines}\n{simple}\n{settings}\n")
        environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
        command = [str(bandersnatch), "--config", str(configuration), "mirror"]
        await run(command, environment)

    return mirror


async def run(command: list[str], environment: dict[str, str]) -> None:
    """Run a program to its end without blocking the server."""
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=DEVNULL, stderr=PIPE)
    _, err = await process.communicate()
    assert process.returncode == 0, err.decode()


async def adopted(site: Site) -> None:
    """Adopt the tree at the mirror's own place."""
    settings = Settings.model_validate(
        {"data": site.data, "state": site.state, "policy": site.policy, "upstream": site.upstream, "disk_reserve": 0.0}
    )
    report = await adopt(settings, source=None, hashing=False, dry_run=False)
    assert not report.incomplete


async def pip_download(base: str, to: Path) -> None:
    """Download a project with the real pip."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--disable-pip-version-check"]
    command += ["--isolated", "--index-url", f"{base}/simple/", "--dest", str(to), "six"]
    await run(command, dict(os.environ))


@pytest.mark.parametrize("way", WAYS)
async def test_bandersnatch_tree_is_adopted(site: Site, pypi: fakepypi.FakePyPI, mirrored: Mirror, way: str) -> None:
    """Any configuration of bandersnatch is adopted: no client notices, and the first sync downloads nothing."""
    for name in ("six", "foo-bar", "Zope.Interface"):
        for version in ("1.0", "1.1"):
            pypi.index.project(name).upload(version, requires_python=">=3.8")
    pypi.index.project("six").yank("1.0", reason="broken")
    await mirrored(site, WAYS[way])
    site.select("six", "foo-bar", "zope-interface", grace="0m")
    lock_file = OldMirror(site.web).urls()
    flat = way not in ("hash-index", "elsewhere")
    pypi.log.forget()

    forms = ("index.v1_json",) if way == "json" else ("index.html", "index.v1_html")

    with installing(site.web, *(["six"] if flat else []), remembered=lock_file, forms=forms) as client:
        await adopted(site)
        if flat and way != "json":
            await pip_download(client.base, site.data.parent / "downloads")

    for name in ("six", "foo-bar", "zope-interface"):
        assert site.filenames(name) == {file.filename for file in pypi.index.project(name).files}
    run = await site.sync()
    assert run.state is RunState.SUCCEEDED
    assert [path for path in pypi.log.paths() if "packages" in path] == []
    assert OldMirror(site.web).urls() == []
    assert site.published("six").files["six-1.0.tar.gz"].yanked == "broken"
    site.assert_whole()

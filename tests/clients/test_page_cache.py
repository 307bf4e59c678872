"""Clients cache a page for ten minutes, and an option refreshes it at once."""

from pathlib import Path

import pytest

import fakepypi
from clients.guide import snippet
from clients.lab import lab, readable
from mirror_contract import RunState
from syncer.site import Site

pytestmark = [pytest.mark.docker, pytest.mark.internet, pytest.mark.timeout(300)]


@pytest.mark.proves("reliability/clients")
@pytest.mark.parametrize("tool", ["pip", "uv"])
async def test_new_release_shows_after_a_refresh(tmp_path: Path, image: str, clients_image: str, tool: str) -> None:
    """pip and uv cache a page for its max-age, and the guide's command installs the mirror's newer release."""
    readable(tmp_path)
    async with fakepypi.serve() as pypi:
        site = Site(tmp_path, upstream=pypi.url)
        site.select("six")
        pypi.index.project("six").upload("1.0")
        assert (await site.sync()).state is RunState.SUCCEEDED
        with lab(image, clients_image, site.data) as opened:
            client = opened.client
            client.write(".config/pip/pip.conf", snippet("pip", "ini") + "target = packages\n")
            client.write(".config/uv/uv.toml", snippet("uv", "toml"))
            install = {"pip": "pip install --upgrade", "uv": "uv pip install --target=packages"}[tool]
            client.run(f"{install} six")
            assert client.installed("packages") == {"six": "1.0"}

            pypi.index.project("six").upload("2.0")
            assert (await site.sync()).state is RunState.SUCCEEDED
            client.run(f"{install} six==2.0", status=1)
            client.run("rm -rf packages")
            client.run(snippet(tool, "sh"))
            assert client.installed("packages") == {"six": "2.0"}

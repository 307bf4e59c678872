"""docs/clients.md holds no block that nobody runs."""

import pytest

from clients.guide import snippets
from test_documents import REPOSITORY, defines

# The test that runs each block: by section, language and place among the section's blocks of that language.
RUN_BY = {
    ("Test the mirror", "sh", 0): "clients/test_installers.py::test_line_that_tests_the_mirror",
    ("pip", "ini", 0): "clients/test_installers.py::test_pip",
    ("pip", "sh", 0): "clients/test_page_cache.py::test_new_release_shows_after_a_refresh",
    ("uv", "toml", 0): "clients/test_installers.py::test_uv",
    ("uv", "sh", 0): "clients/test_page_cache.py::test_new_release_shows_after_a_refresh",
    ("poetry", "toml", 0): "clients/test_installers.py::test_poetry",
    ("poetry", "sh", 0): "clients/test_installers.py::test_poetry_after_a_change_of_url",
    ("pdm", "toml", 0): "clients/test_installers.py::test_pdm",
    ("pipenv", "toml", 0): "clients/test_installers.py::test_pipenv",
    ("hatch", "toml", 0): "clients/test_installers.py::test_hatch",
    ("pip-tools", "sh", 0): "clients/test_installers.py::test_hashes_without_downloads",
    ("Renovate", "json", 0): "clients/test_renovate.py::test_renovate",
    ("Renovate", "json", 1): "clients/test_renovate.py::test_renovate",
    ("micropip", "python", 0): "page/test_micropip.py::test_micropip_installs_in_a_browser",
    ("GitHub Actions", "yaml", 0): "clients/test_installers.py::test_github_actions",
    ("Your own certificate authority", "ini", 0): "clients/test_closed_mirror.py::test_pip_trusts_an_authority",
    ("Your own certificate authority", "sh", 0): "clients/test_closed_mirror.py::test_poetry_trusts_an_authority",
    ("A password", "text", 0): "clients/test_closed_mirror.py::test_netrc_survives_a_redirect",
    ("Other servers", "ini", 0): "clients/test_other_servers.py::test_bandersnatch_verify",
    ("Other servers", "sh", 0): "clients/test_other_servers.py::test_devpi",
    ("Other servers", "sh", 1): "clients/test_other_servers.py::test_proxpi",
    ("Other servers", "sh", 2): "clients/test_other_servers.py::test_pypiserver",
    ("Other servers", "sh", 3): "clients/test_other_servers.py::test_simple_repository_server",
    ("Other servers", "sh", 4): "clients/test_other_servers.py::test_morgan",
    ("Other servers", "sh", 5): "clients/test_other_servers.py::test_rsync_while_an_adoption_lasts",
}


@pytest.mark.proves("reliability/clients")
def test_every_block_is_run() -> None:
    """Each block of the guide has a test, and each of these tests is there."""
    assert {(one.section, one.language, one.number) for one in snippets()} == RUN_BY.keys()


@pytest.mark.parametrize("test", sorted(set(RUN_BY.values())))
def test_that_runs_a_block_exists(test: str) -> None:
    """The test that is named for a block is there."""
    path, _, name = test.partition("::")
    assert defines(REPOSITORY / "tests" / path, name)

"""Tests run every block of docs/clients.md."""

import pytest

from clients.guide import snippets
from test_documents import REPOSITORY, defines

# The test of each block, by section, language and position among the section's blocks of that language.
RUN_BY = {
    ("Test the mirror", "sh", 0): "clients/test_installers.py::test_first_line_of_the_guide_downloads_a_file",
    ("pip", "ini", 0): "clients/test_installers.py::test_pip_installs_requests",
    ("pip", "sh", 0): "clients/test_page_cache.py::test_new_release_shows_after_a_refresh",
    ("uv", "toml", 0): "clients/test_installers.py::test_uv_installs_requests",
    ("uv", "sh", 0): "clients/test_page_cache.py::test_new_release_shows_after_a_refresh",
    ("poetry", "toml", 0): "clients/test_installers.py::test_poetry_installs_requests",
    ("poetry", "sh", 0): "clients/test_installers.py::test_poetry_after_a_change_of_url_needs_a_cleared_cache",
    ("pdm", "toml", 0): "clients/test_installers.py::test_pdm_installs_requests",
    ("pipenv", "toml", 0): "clients/test_installers.py::test_pipenv_installs_requests",
    ("hatch", "toml", 0): "clients/test_installers.py::test_hatch_installs_requests",
    ("pip-tools", "sh", 0): "clients/test_installers.py::test_hashes_come_without_downloads_in_uv",
    ("Renovate", "json", 0): "clients/test_renovate.py::test_renovate_proposes_the_newest_release",
    ("Renovate", "json", 1): "clients/test_renovate.py::test_renovate_proposes_the_newest_release",
    ("micropip", "python", 0): "page/test_micropip.py::test_micropip_installs_in_a_browser",
    ("GitHub Actions", "yaml", 0): "clients/test_installers.py::test_github_actions_steps_install",
    ("Your own certificate authority", "ini", 0): "clients/test_closed_mirror.py::test_pip_trusts_an_authority",
    ("Your own certificate authority", "sh", 0): "clients/test_closed_mirror.py::test_poetry_trusts_an_authority",
    ("A password", "text", 0): "clients/test_closed_mirror.py::test_netrc_survives_a_redirect",
    ("Other servers", "ini", 0): "clients/test_other_servers.py::test_bandersnatch_verifies_by_https",
    ("Other servers", "sh", 0): "clients/test_other_servers.py::test_devpi_serves_the_mirror",
    ("Other servers", "sh", 1): "clients/test_other_servers.py::test_proxpi_caches_the_mirror",
    ("Other servers", "sh", 2): "clients/test_other_servers.py::test_pypiserver_redirects_to_the_mirror",
    ("Other servers", "sh", 3): "clients/test_other_servers.py::test_simple_repository_server_serves_the_mirror",
    ("Other servers", "sh", 4): "clients/test_other_servers.py::test_morgan_copies_from_the_mirror",
    ("Other servers", "sh", 5): "clients/test_other_servers.py::test_rsync_during_an_adoption_keeps_each_file_once",
}


@pytest.mark.proves("reliability/clients")
def test_every_block_is_run() -> None:
    """Each block of the guide has a test, and each such test has a block."""
    assert {(one.section, one.language, one.number) for one in snippets()} == RUN_BY.keys()


@pytest.mark.parametrize("test", sorted(set(RUN_BY.values())))
def test_that_runs_a_block_exists(test: str) -> None:
    """The test that is named for a block exists."""
    path, _, name = test.partition("::")
    assert defines(REPOSITORY / "tests" / path, name)

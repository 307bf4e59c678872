"""What the page gives to test a client prints what the page says, with the real client."""

import html
import re

import pytest

from clients.guide import snippet
from clients.lab import Client
from mirror_control.api.address import Address
from mirror_control.ui.rendering import render_text

pytestmark = [
    pytest.mark.docker,
    pytest.mark.internet,
    pytest.mark.timeout(300),
    pytest.mark.proves("reliability/clients"),
]

PROJECT = '[project]\nname = "project"\nversion = "1.0"\nrequires-python = ">=3.11"\ndependencies = []\n'
PAGE = render_text("use.html", mirror=Address("http", "mirror.example", ":8080"))
FILES = {
    "pip": ".config/pip/pip.conf",
    "uv": ".config/uv/uv.toml",
    "poetry": "pyproject.toml",
    "pdm": "pyproject.toml",
    "pipenv": "Pipfile",
}


def shown(name: str) -> str:
    """Return a block of the page."""
    found = re.search(rf'<pre id="{name}"[^>]*>([^<]*)</pre>', PAGE)
    assert found
    return html.unescape(found[1])


def prints(tool: str) -> str:
    """Return what the page says that the test of a tool prints."""
    found = re.search(rf'id="{tool}-test".*?class="prints">([^<]+)<', PAGE, re.DOTALL)
    assert found
    return html.unescape(found[1])


@pytest.mark.parametrize("tool", FILES)
def test_test_of_a_client_prints_what_the_page_says(client: Client, tool: str) -> None:
    """With the snippet of the page, its test prints what the page says; without it, the test fails or prints else."""
    text = shown(f"{tool}-text") + "\n"
    client.write(FILES[tool], (PROJECT if FILES[tool] == "pyproject.toml" else "") + text)
    assert prints(tool) in client.run(f"({shown(f'{tool}-test')}) 2>&1")


def test_test_of_hatch_prints_what_the_page_says(client: Client) -> None:
    """hatch reads pip's settings, and its test prints what pip prints."""
    client.write(FILES["pip"], shown("pip-text") + "\n")
    build = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    skipped = "[tool.hatch.envs.default]\nskip-install = true\n"
    client.write("pyproject.toml", PROJECT + build + skipped)
    assert prints("hatch") in client.run(f"({shown('hatch-test')}) 2>&1")


def test_lines_for_conda_are_requirements_of_pip(client: Client) -> None:
    """What conda passes on to pip, as a file of requirements, installs from the mirror."""
    lines = re.findall(r"^      - (.+)$", shown("conda-text"), re.MULTILINE)
    client.write("requirements.txt", "\n".join(lines) + "\n")
    said = client.run("pip install --target=packages --requirement=requirements.txt 2>&1")
    assert snippet("pip", "ini").splitlines()[1].removeprefix("index-url = ") in said
    assert "requests" in client.installed("packages")

"""Each client installs through the mirror with the settings of docs/clients.md."""

import re

import pytest
import yaml

from clients.guide import snippet
from clients.lab import Client, Lab

pytestmark = [
    pytest.mark.docker,
    pytest.mark.internet,
    pytest.mark.timeout(300),
    pytest.mark.proves("reliability/clients"),
]

# The result of `install requests`: the newest version of each that upstream has.
NEWEST = {
    "certifi": "2025.4.26",
    "charset-normalizer": "3.4.1",
    "idna": "3.10",
    "requests": "2.32.3",
    "urllib3": "2.4.0",
}
VENV = ".venv/lib/python3.13/site-packages"
PROJECT = '[project]\nname = "project"\nversion = "1.0"\nrequires-python = ">=3.11"\ndependencies = []\n'


@pytest.fixture
def pip(client: Client) -> Client:
    """Return a machine with the guide's pip.conf."""
    client.write(".config/pip/pip.conf", snippet("pip", "ini"))
    return client


@pytest.fixture
def uv(client: Client) -> Client:
    """Return a machine with the guide's uv.toml."""
    client.write(".config/uv/uv.toml", snippet("uv", "toml"))
    return client


def test_first_line_of_the_guide_downloads_a_file(client: Client) -> None:
    """Without any setting, the guide's first line downloads a file from the mirror."""
    client.run(snippet("Test the mirror", "sh"))
    assert client.run("ls packages").startswith("six-")


def test_pip_installs_requests(pip: Client) -> None:
    """pip installs requests and its dependencies."""
    pip.run("pip install --target=packages requests")
    assert pip.installed("packages") == NEWEST


def test_uv_installs_requests(uv: Client) -> None:
    """uv locks and installs requests and its dependencies."""
    uv.run("uv init --quiet --bare --name=project && uv add --quiet requests")
    assert uv.installed(VENV) == NEWEST


def test_uv_without_a_python_downloads_none(uv: Client) -> None:
    """If no Python fits, uv says so, and does not try to download one."""
    said = uv.run("uv venv --python=3.9", status=2)
    assert "No interpreter found for Python 3.9" in said
    assert "github.com" not in said


def test_poetry_installs_requests(client: Client) -> None:
    """Poetry adds requests to a project and installs it."""
    client.write("pyproject.toml", PROJECT + settings("poetry"))
    client.run("POETRY_VIRTUALENVS_IN_PROJECT=true poetry add --no-interaction requests")
    assert client.installed(VENV).items() >= NEWEST.items()


def test_poetry_after_a_change_of_url_needs_a_cleared_cache(open_lab: Lab) -> None:
    """Poetry requests a known release from a source's new URL only after its cache for that source is cleared."""
    lab = open_lab.renewed()
    before = PROJECT.replace("[]", '["six"]') + settings("poetry")
    after = before.replace("/simple/", "/pypi/web/simple/")

    def read() -> list[str]:
        """Return the files that a new lock reads from the new URL."""
        lab.client.run("rm -f poetry.lock && poetry lock")
        return [path for path, _ in lab.asked("package") if path.startswith("/pypi/web/packages/")]

    lab.client.write("pyproject.toml", before)
    lab.client.run("poetry lock")
    lab.client.write("pyproject.toml", after)
    assert read() == []
    lab.client.run(snippet("poetry", "sh"))
    assert read() != []


def test_pdm_installs_requests(client: Client) -> None:
    """PDM adds requests to a project and installs it."""
    client.write("pyproject.toml", PROJECT + settings("pdm"))
    client.run("pdm config check_update false && pdm add requests")
    assert client.installed(VENV).items() >= NEWEST.items()


def test_pipenv_installs_requests(client: Client) -> None:
    """Pipenv locks requests with the hashes of the mirror's page and installs it."""
    client.write("Pipfile", snippet("pipenv", "toml"))
    client.run("PIPENV_VENV_IN_PROJECT=1 pipenv install requests")
    assert client.installed(VENV).items() >= NEWEST.items()


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_hatch_installs_requests(client: Client, installer: str) -> None:
    """Hatch creates an environment with requests, by pip's settings or by uv's."""
    environment = "[tool.hatch.envs.default]\n" if installer == "pip" else snippet("hatch", "toml")
    client.write("pyproject.toml", PROJECT + environment + 'skip-install = true\ndependencies = ["requests"]\n')
    if installer == "pip":
        client.write(".config/pip/pip.conf", snippet("pip", "ini"))
    else:
        client.write(".config/uv/uv.toml", snippet("uv", "toml"))
    said = client.run("hatch run python -c 'import requests; print(requests.__version__)'")
    assert said.splitlines()[-1] == NEWEST["requests"]


def test_hashes_come_without_downloads_in_uv(open_lab: Lab) -> None:
    """Uv reads a locked release's hashes from its page; pip-compile downloads each of its files for them."""
    lab = open_lab.renewed()
    lab.client.write(".config/uv/uv.toml", snippet("uv", "toml"))
    lab.client.write(".config/pip/pip.conf", snippet("pip", "ini"))
    lab.client.write("requirements.in", "six\n")

    def downloads() -> list[str]:
        return [path for path, _ in lab.asked("package") if not path.endswith(".metadata")]

    before = len(downloads())
    lab.client.run(snippet("pip-tools", "sh"))
    by_uv = lab.client.run("cat requirements.txt && rm requirements.txt")
    assert len(downloads()) == before
    lab.client.run("pip-compile --generate-hashes requirements.in --output-file requirements.txt")
    by_pip_tools = lab.client.run("cat requirements.txt")
    assert len({path for path in downloads()[before:] if "six-1.17.0" in path}) == 2
    assert hashes(by_uv) == hashes(by_pip_tools)
    assert len(hashes(by_uv)) == 2


def settings(tool: str) -> str:
    """Return the guide's block for a project of poetry or pdm that is not a package itself."""
    own = {"poetry": "[tool.poetry]\npackage-mode = false\n", "pdm": "[tool.pdm]\ndistribution = false\n"}
    return own[tool] + snippet(tool, "toml")


def hashes(text: str) -> set[str]:
    """Return the sha256 hashes in a requirements file or a lock."""
    return set(re.findall(r"[0-9a-f]{64}", text))


def test_github_actions_steps_install(client: Client) -> None:
    """A workflow's steps install with the environment from the guide."""
    workflow = yaml.safe_load(snippet("GitHub Actions", "yaml"))
    for step in workflow["jobs"]["test"]["steps"]:
        client.run(step["run"], environment=workflow["env"])
    assert client.installed("packages") == {**NEWEST, "six": "1.17.0"}


LOCKS = {
    "uv.lock": "uv lock",
    "pylock.toml": "pip lock six",
    "poetry.lock": "poetry lock",
    "Pipfile.lock": "pipenv lock",
    "pdm.lock": "pdm lock",
}


@pytest.mark.parametrize(
    ("lock", "names_files", "names_index"),
    [
        ("uv.lock", True, True),
        ("pylock.toml", True, False),
        ("poetry.lock", False, True),
        ("Pipfile.lock", False, True),
        ("pdm.lock", False, False),
    ],
)
def test_lock_file_contains_the_documented_urls(
    client: Client, lock: str, *, names_files: bool, names_index: bool
) -> None:
    """A lock holds hashes of each file, and the mirror's URLs only where the guide's table says so."""
    tool = {"poetry.lock": "poetry", "pdm.lock": "pdm"}.get(lock)
    client.write(".config/pip/pip.conf", snippet("pip", "ini"))
    client.write(".config/uv/uv.toml", snippet("uv", "toml"))
    client.write("pyproject.toml", PROJECT.replace("[]", '["six"]') + (settings(tool) if tool else ""))
    client.write("Pipfile", snippet("pipenv", "toml") + '[packages]\nsix = "*"\n')
    client.run(LOCKS[lock])
    text = client.run(f"cat {lock}")
    assert hashes(text)
    assert ("http://mirror.example:8080/packages/" in text) is names_files
    assert ("http://mirror.example:8080/simple" in text) is names_index

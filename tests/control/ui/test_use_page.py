"""The page that tells how to use the mirror: its snippets are those of docs/clients.md, which tests run."""

import html
import re

import httpx2
import pytest

from clients.guide import snippet

PLAIN = {"X-Forwarded-Host": "mirror.example:8080"}
SECURE = {"X-Forwarded-Host": "mirror.example", "X-Forwarded-Proto": "https"}
# The block of the guide that a snippet repeats.
GUIDE = {
    "first-test": ("Test the mirror", "sh", 0),
    "pip-text": ("pip", "ini", 0),
    "uv-text": ("uv", "toml", 0),
    "poetry-text": ("poetry", "toml", 0),
    "pdm-text": ("pdm", "toml", 0),
    "pipenv-text": ("pipenv", "toml", 0),
    "hatch-text": ("hatch", "toml", 0),
    "micropip-text": ("micropip", "python", 0),
    "renovate-text": ("Renovate", "json", 0),
    "actions-text": ("GitHub Actions", "yaml", 0),
    "authority-others": ("Your own certificate authority", "sh", 0),
}


def blocks(client: httpx2.Client, headers: dict[str, str] = PLAIN) -> dict[str, str]:
    """Return each block of the page by its id."""
    page = client.get("/ui/use", headers=headers).text
    return {name: html.unescape(text) for name, text in re.findall(r'<pre id="([^"]+)"[^>]*>([^<]*)</pre>', page)}


@pytest.mark.proves("reliability/clients")
@pytest.mark.parametrize("name", GUIDE)
def test_snippet_is_that_of_the_guide(client: httpx2.Client, name: str) -> None:
    """A snippet of the page is the same as in the guide, whose blocks tests run with the real client."""
    assert blocks(client)[name].strip() == snippet(*GUIDE[name]).strip()


def test_every_block_can_be_copied(client: httpx2.Client) -> None:
    """Each block, and the index URL, has a button that copies it, with a name of its own."""
    page = client.get("/ui/use", headers=PLAIN).text
    copied = re.findall(r'data-copy="([^"]+)">Copy<span class="unseen"> ([^<]+)<', page)
    assert {name for name, _ in copied} == {*blocks(client), "index-url"}
    assert len({label for _, label in copied}) == len(copied)


@pytest.mark.proves("security/clients")
def test_secure_mirror_is_trusted_without_exceptions(client: httpx2.Client) -> None:
    """Over HTTPS no snippet makes a client trust a host; over HTTP each that must does."""
    plain, secure = blocks(client), blocks(client, SECURE)
    assert plain.keys() == secure.keys()
    for name, text in secure.items():
        assert not re.search("trusted|TRUSTED|verify_ssl = false|http:", text), name
    assert "PIP_TRUSTED_HOST=mirror.example \\\n" in plain["dockerfile-text"]
    assert "      - --trusted-host=mirror.example\n      - requests" in plain["conda-text"]
    assert secure["conda-text"].endswith("      - --index-url=https://mirror.example/simple/\n      - requests")
    assert 'PIP_INDEX_URL: "https://mirror.example/simple/"\n  UV' in secure["gitlab-text"]


def test_tests_say_what_they_print(client: httpx2.Client) -> None:
    """Each test of a client has what it prints if it is right."""
    page = client.get("/ui/use", headers=PLAIN).text
    tests = [name.removesuffix("-test") for name in blocks(client) if name.endswith("-test") and name != "first-test"]
    assert tests == ["pip", "uv", "poetry", "pdm", "pipenv", "hatch"]
    assert page.count('class="prints"') == len(tests)
    assert '<code class="prints">Looking in indexes: http://mirror.example:8080/simple/</code>' in page

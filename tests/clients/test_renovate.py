"""Renovate finds updates on the mirror with the settings of docs/clients.md."""

import json
from typing import Any

import pytest

from clients.guide import snippet
from clients.lab import Client

pytestmark = [
    pytest.mark.docker,
    pytest.mark.internet,
    pytest.mark.timeout(300),
    pytest.mark.proves("reliability/clients"),
]

LOOKUP = "renovate --platform=local --dry-run=lookup --report-type=file --report-path=$HOME/report.json > renovate.log"


def looked_up(client: Client) -> Any:
    """Run Renovate over a project that pins an old release, and return its findings."""
    client.write("project/requirements.txt", "requests==2.30.0\n")
    environment = {
        "RENOVATE_BASE_DIR": f"{client.home}/renovate",  # otherwise its cache answers for a mirror of another test
        "RENOVATE_CONFIG_FILE": f"{client.home}/config.json",
        "RENOVATE_INTERNAL_HOST_ACCESS": "block",
    }
    client.run(f"cd project && git init --quiet && git add --all && {LOOKUP}", environment=environment)
    report = json.loads(client.run("cat report.json"))
    [file] = report["repositories"]["local"]["packageFiles"]["pip_requirements"]
    [dependency] = file["deps"]
    return dependency


def test_renovate_proposes_the_newest_release(client: Client) -> None:
    """Renovate proposes the newest release, with the page's upload time."""
    client.write("project/renovate.json", snippet("Renovate", "json"))
    client.write("config.json", snippet("Renovate", "json", 1))
    [update] = looked_up(client)["updates"]
    assert update["newVersion"] == "2.32.3"
    assert update["releaseTimestamp"].startswith("2026-")


def test_renovate_without_access_to_internal_hosts_finds_nothing(client: Client) -> None:
    """A Renovate that blocks internal hosts finds nothing unless its administrator allows the mirror."""
    client.write("project/renovate.json", snippet("Renovate", "json"))
    client.write("config.json", "{}")
    assert looked_up(client).get("updates", []) == []

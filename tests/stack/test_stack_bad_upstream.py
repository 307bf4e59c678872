"""The mirror refuses false answers of an upstream by name, and mirrors everything else."""

import json

import pytest

from stack.compose import Stack
from stack.conftest import VICTIMS
from stack.fake import Upstream
from stack.mirror import Mirror

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]


def test_bad_upstream_costs_only_its_projects(stack: Stack, mirror: Mirror, upstream: Upstream) -> None:
    """
    A wrong hash, a truncated body, `../` in a file's URL and a page of `/etc/x` are refused, by project and reason.

    The run is incomplete with exit code 3. A bad file makes its project partial, a bad page keeps the last good one;
    all other projects are current. Once upstream recovers, so does the mirror.
    """
    for project in (*VICTIMS, "idna"):
        upstream.upload(project, "4.0")
    upstream.fault("page", {"wrong_hash": {}}, project="wrong-hash")
    upstream.fault("file", {"shortened": {}}, filename="truncated-4.0.tar.gz")
    upstream.fault("page", {"file_url": {"url": "../../../../etc/passwd"}}, project="climber")
    upstream.fault("page", {"named": {"name": "/etc/x"}}, project="impostor")

    run = json.loads(stack.execute("syncer", "mirror-syncer", "sync", status=3).splitlines()[0])

    assert run["state"] == "incomplete"
    reasons: dict[str, str] = {}
    for failure in run["failures"]:
        reasons.setdefault(failure["project"], f"{failure['file']}: {failure['reason']}")
    assert set(reasons) == set(VICTIMS)
    assert "sha256" in reasons["wrong-hash"]
    assert "truncated-4.0.tar.gz" in reasons["truncated"]
    assert "etc/passwd" in reasons["climber"]
    assert "/etc/x" in reasons["impostor"]

    log = "\n".join(stack.logs("syncer"))
    assert "Traceback" not in log
    for project in VICTIMS:
        assert f'"project": "{project}"' in log

    assert "idna-4.0.tar.gz" in mirror.files("idna")
    assert "truncated-4.0-py3-none-any.whl" in mirror.files("truncated")
    assert "truncated-4.0.tar.gz" not in mirror.files("truncated")
    assert mirror.project("truncated")["state"] == "partial"
    for project in VICTIMS:
        assert f"{project.replace('-', '_')}-1.0.tar.gz" in mirror.files(project)
    assert mirror.missing(VICTIMS) == []

    upstream.do("clear")
    assert mirror.sync(*VICTIMS)["state"] == "succeeded"
    for project in VICTIMS:
        assert mirror.project(project)["state"] == "current"

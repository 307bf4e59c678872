"""The shipped stack, at its most verbose log level, shows the operator's secrets to nobody else."""

import base64
import json
import re
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from stack.compose import SERVICES, Stack, run, until
from stack.conftest import YEARLY, write_policy
from stack.fake import Upstream
from stack.mirror import Mirror

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]

TOKEN, PASSWORD, OF_PROXY = secrets.token_hex(32), f"pw-{secrets.token_hex(8)}", f"px-{secrets.token_hex(8)}"


def hidden(*words: str) -> list[str]:
    """Return the words, and their Basic encodings, with or without a user."""
    users = ("", "operator:", "doorman:")
    return [*words, *(base64.b64encode(f"{user}{word}".encode()).decode() for word in words for user in users)]


SECRETS = hidden(TOKEN, PASSWORD, OF_PROXY)


@dataclass
class Guarded:
    """
    A stack with a token, a login for its upstream and one for its proxy.

    Attributes:
        said: all answers to its callers.
    """

    stack: Stack
    mirror: Mirror
    upstream: Upstream
    token: Path
    netrc: Path
    said: list[str] = field(default_factory=list)
    urls: dict[int, str] = field(default_factory=dict)

    def call(self, method: str, path: str, *, token: str | None = None, port: int = 8080, **more: object) -> int:
        """Call nginx or, on its own port, control; keep the answer, and return its status."""
        headers = {"Authorization": token} if token is not None else {}
        if port not in self.urls:  # requested once: an answer takes a third of a second
            self.urls[port] = self.stack.url({8080: "nginx", 8081: "control"}[port], port)
        with httpx2.Client(base_url=self.urls[port], trust_env=False, timeout=10) as client:
            answer = client.request(method, path, headers=headers, **more)  # type: ignore[arg-type]
        self.said.append(f"{answer.status_code}\n{answer.headers}\n{answer.text}")
        return answer.status_code


def let_in(upstream: Upstream, password: str) -> None:
    """Let upstream accept only this password."""
    upstream.do("clear")
    for on in ("page", "file", "metadata"):
        upstream.fault(on, {"require_login": {"user": "operator", "password": password}})


def write(path: Path, text: str) -> Path:
    """Write a file in place, as an operator replaces a secret, readable by the services."""
    path.write_text(text)
    path.chmod(0o644)
    return path


def netrc(password: str) -> str:
    """Return a netrc for the upstream and for the proxy."""
    own = f"machine fakepypi login operator password {password}\n"
    return f"{own}machine proxy.invalid login doorman password {OF_PROXY}\n"


@pytest.fixture(scope="module")
def guarded(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Return a stack at log level debug that has synced once."""
    directory = tmp_path_factory.mktemp("secrets")
    token = write(directory / "token", f"{TOKEN}\n")
    login = write(directory / "netrc", netrc(PASSWORD))
    stack = Stack(
        settings={
            "MIRROR_UPSTREAM": "http://fakepypi:8000",
            "MIRROR_CONFIG": str(write_policy(directory / "config/mirror.toml", "six", "idna").parent),
            "MIRROR_SCHEDULE": YEARLY,
            "MIRROR_DISK_RESERVE": "0%",
            "MIRROR_LOG_LEVEL": "debug",
            "MIRROR_CONTROL_TOKEN_FILE": str(token),
            "MIRROR_UPSTREAM_NETRC": str(login),
            "HTTPS_PROXY": "http://proxy.invalid:3128",
        }
    )
    try:
        stack.up("fakepypi")
        with httpx2.Client(base_url=stack.url("fakepypi", 8000), trust_env=False, timeout=10) as hand:
            upstream = Upstream(hand)
            let_in(upstream, PASSWORD)
            stack.up()
            with httpx2.Client(base_url=stack.url("nginx", 8080), trust_env=False, timeout=10) as client:
                mirror = Mirror(client, TOKEN)
                until(mirror.idle, seconds=60)
                yield Guarded(stack, mirror, upstream, token, login)
    finally:
        stack.down()


def call_everything(guarded: Guarded) -> None:
    """Make every call, with the token, with similar ones, and without."""
    tokens = [
        None,
        f"Bearer {TOKEN}",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}{TOKEN}",
        "Bearer",
    ]
    document = guarded.mirror.client.get("/api/openapi.json").json()
    for path, calls in document["paths"].items():
        where = path.replace("{name}", "six").replace("{run_id}", "none")
        for method in {*calls, "delete", "put"} if "events" not in path else ():
            for token in tokens:
                guarded.call(
                    method.upper(), where, token=token, json={"kind": "sync", "token": TOKEN, "projects": TOKEN}
                )
    right = f"Bearer {TOKEN}"
    assert guarded.call("POST", "/api/v1/runs", token=right, json={"kind": "sync", "force": True}) == 202
    assert guarded.call("POST", "/api/v1/runs", token=right, content=f"{{{TOKEN}") == 422
    for path in ("/metrics", "/readyz", "/healthz", "/nothing"):
        guarded.call("GET", path, token=right, port=8081)
    for path in ("/", "/simple/six/", "/pypi/web/status.json", "/.netrc", "/run/secrets/control_token"):
        guarded.call("GET", path, token=right)


def test_login_is_used_for_its_upstream(guarded: Guarded) -> None:
    """The mirror used the login that the next test searches for: upstream requires it."""
    assert guarded.mirror.missing(["six", "idna"]) == []
    asked = guarded.upstream.do("requests")["requests"]
    assert base64.b64encode(f"operator:{PASSWORD}".encode()).decode() in json.dumps(asked)


@pytest.mark.proves("security/tokens-and-secrets")
def test_secrets_appear_only_in_their_files(guarded: Guarded) -> None:
    """
    After every call, right and wrong, with services up and down, each secret is only in its file.

    It is in no debug log, answer, `docker inspect`, command line, environment, tree or state.
    """
    stack = guarded.stack
    call_everything(guarded)
    until(guarded.mirror.idle, seconds=60)
    # The terminal output of a sync, a plan and a failing proxy.
    for command in (("sync", "six"), ("plan", "six"), ("plan", "--json"), ("verify",)):
        guarded.said.append(stack.execute("syncer", "mirror-syncer", *command))
    https = ("--env=MIRROR_UPSTREAM=https://pypi.invalid", "--entrypoint=sh", "syncer", "-c")
    once = ("run", "--rm", "--no-deps", "--no-TTY", *https)
    refused = stack.compose(*once, "mirror-syncer plan six 2>&1; true")
    loud = stack.compose(
        *once, f"HTTPS_PROXY=http://doorman:{OF_PROXY}@proxy.invalid:1 mirror-syncer plan six 2>&1; true"
    )
    wrong = stack.compose(
        *once, f"HTTPS_PROXY=http://doorman:{OF_PROXY}/@proxy.invalid mirror-syncer plan six 2>&1; true"
    )
    assert "proxy" in refused.lower()
    assert "proxy" in loud.lower()
    assert "HTTPS_PROXY: not a proxy URL" in wrong
    guarded.said += [refused, loud, wrong]
    for away in ("syncer", "control"):
        stack.compose("kill", away)
        assert guarded.call("POST", "/api/v1/runs", token=f"Bearer {TOKEN}", json={"kind": "sync"}) >= 500
    logs = {service: "\n".join(stack.logs(service)) for service in SERVICES}
    stack.up()

    assert len(guarded.said) > 100
    assert '"level": "debug"' in logs["control"] or "/api/v1/status" in logs["control"], "debug says something"
    inspected = {name: stack.inspect(name, "{{json .}}") for name in SERVICES}
    listed = {name: run("docker", "top", json.loads(text)["Id"], "-o", "pid,args") for name, text in inspected.items()}
    words = "|".join(map(re.escape, SECRETS))
    found: dict[str, list[str]] = {
        "answers": re.findall(words, "\n".join(guarded.said)),
        "logs": re.findall(words, json.dumps(logs)),
        "inspect": re.findall(words, json.dumps(inspected)),
        "command lines": re.findall(words, json.dumps(listed)),
        "compose": re.findall(words, stack.compose("config")),
    }
    patterns = "\n".join(SECRETS)
    places = {
        "syncer": "/srv/mirror /var/lib/pypi-mirror",
        "nginx": "/srv/mirror /logs /etc",
        "control": "/var/lib/pypi-mirror-control /logs",
    }
    for service, place in places.items():
        # The pattern comes by stdin, so it is in no searched command line.
        grep = "grep --files-with-matches --recursive --no-messages --fixed-strings --file=-"
        script = f"{grep} {place} /tmp /run /proc/[0-9]*/environ; true"
        found[service] = stack.execute(service, "sh", "-c", script, stdin=patterns).split()
    kept = {"syncer": ["/run/secrets/upstream_netrc"], "control": ["/run/secrets/control_token"]}
    assert {where: what for where, what in found.items() if what} == kept


@pytest.mark.proves("security/tokens-and-secrets")
def test_rotated_secrets_work_without_a_restart(guarded: Guarded) -> None:
    """A new token and a new upstream password, written into their files, work at once without a restart."""
    stack = guarded.stack
    until(guarded.mirror.idle, seconds=60)
    started = [stack.inspect(service, "{{.Id}} {{.State.StartedAt}}") for service in SERVICES]
    another, password = secrets.token_hex(32), f"pw-{secrets.token_hex(8)}"
    try:
        write(guarded.token, another)
        assert guarded.call("POST", "/api/v1/schedule/pause", token=f"Bearer {TOKEN}") == 401
        assert guarded.call("POST", "/api/v1/schedule/resume", token=f"Bearer {another}") == 200
        renewed = Mirror(guarded.mirror.client, another)
        let_in(guarded.upstream, password)
        refused = renewed.sync("six")
        write(guarded.netrc, netrc(password))
        assert refused["state"] != "succeeded"
        assert "MIRROR_UPSTREAM_NETRC" in json.dumps(refused)
        assert renewed.sync("six")["state"] == "succeeded"
    finally:
        write(guarded.token, TOKEN)
        write(guarded.netrc, netrc(PASSWORD))
        let_in(guarded.upstream, PASSWORD)
    assert [stack.inspect(service, "{{.Id}} {{.State.StartedAt}}") for service in SERVICES] == started
    everything = "\n".join("\n".join(stack.logs(service)) for service in SERVICES)
    assert not any(word in everything for word in hidden(another, password))


@pytest.mark.proves("security/tokens-and-secrets")
@pytest.mark.parametrize("content", ["", "changeme", "change-me-change-me", "0000000000000000"])
def test_worthless_token_stops_control(guarded: Guarded, tmp_path: Path, content: str) -> None:
    """Control refuses to start with a token that is empty, too short or a placeholder, and says why without it."""
    path = write(tmp_path / "token", content)
    settings = {**guarded.stack.settings, "MIRROR_CONTROL_TOKEN_FILE": str(path)}
    stack = Stack(settings=settings, project=guarded.stack.project)
    said = stack.compose("run", "--rm", "--no-deps", "--no-TTY", "control", status=2)
    assert "token file /run/secrets/control_token" in said
    assert not content or content not in said


@pytest.mark.proves("security/tokens-and-secrets")
@pytest.mark.parametrize("service", SERVICES)
def test_images_hold_no_secret(images: None, service: str) -> None:
    """A build with a proxy's password leaves it in no layer, history or property, and no secret's file either."""
    proxy = f"http://doorman:{OF_PROXY}@127.0.0.1:9"
    # All of it is in the cache, whose key contains everything except a proxy.
    Stack(project="pypi-mirror-test", settings={"HTTPS_PROXY": proxy}).compose("build", "--quiet", service)
    image = f"pypi-mirror-test-{service}"
    told = run("docker", "history", "--no-trunc", image) + run("docker", "image", "inspect", image)
    assert OF_PROXY not in told
    assert "PROXY" not in told
    with subprocess.Popen(("docker", "save", image), stdout=subprocess.PIPE) as saved:
        assert saved.stdout
        kept = b""
        while chunk := saved.stdout.read(2**22):
            assert OF_PROXY.encode() not in kept + chunk
            kept = chunk[-len(OF_PROXY) :]
    names = " -o ".join(f"-name '{name}'" for name in (".env", ".netrc", ".git", "token", "netrc", "id_*", "*.key"))
    script = f"find / -xdev \\( {names} \\) -print"
    shell = ("docker", "run", "--rm", "--network=none", "--user=0", "--entrypoint=sh", image, "-c", script)
    assert run(*shell) == ""

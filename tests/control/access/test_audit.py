"""The audit log: a line for each changing call, with documented fields."""

import json
import re
import subprocess
import sys
from typing import Any

import httpx2
import pytest

from control.server.test_control_process import CONTROL, MIRRORCTL, environment, process
from mirror_control.access.audit import LogRateLimit

__all__ = ["environment", "process"]  # fixtures

FIELDS = [
    "time",
    "level",
    "message",
    "address",
    "forwarded_for",
    "call",
    "token",
    "right",
    "run",
    "release",
    "line",
    "status",
    "logger",
]


def make_token(environment: dict[str, str], *arguments: str) -> str:
    """Create a token with `mirrorctl token …` and return it."""
    done = subprocess.run([MIRRORCTL, "token", *arguments], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def environment_of_quiet(environment: dict[str, str]) -> dict[str, str]:
    """Return the environment of a control that only logs errors."""
    environment["MIRROR_LOG_LEVEL"] = "error"
    return environment


def audited(log: str) -> list[dict[str, Any]]:
    """Return the lines of the audit log."""
    return [line for line in map(json.loads, log.splitlines()) if line["message"] == "audit"]


@pytest.mark.proves("security/tokens-and-secrets")
def test_each_changing_call_is_logged(process: tuple[subprocess.Popen[str], str], environment: dict[str, str]) -> None:
    """The audit has time, address, call, run, token and status of changing calls, not of reading or refused ones."""
    server, url = process
    operator = {"Authorization": f"Bearer {make_token(environment)}"}
    ci = {"Authorization": f"Bearer {make_token(environment, 'create', 'ci', '--right', 'trigger')}"}
    httpx2.get(f"{url}/api/v1/healthz", headers=operator)
    httpx2.post(f"{url}/api/v1/runs", json={"kind": "sync"})
    httpx2.post(
        f"{url}/api/v1/runs/20261122T161233042-3fa9c1/cancel", headers=operator | {"X-Forwarded-For": "10.9.8.7"}
    )
    httpx2.post(f"{url}/api/v1/runs", json={"kind": "collect"}, headers=ci)
    httpx2.post(f"{url}/api/v1/nothing?token=secret", headers=ci)
    fix = {"requirement": "django==5.2.19", "because": "CVE-2026-1234", "for": "2d"}
    httpx2.post(f"{url}/api/v1/releases", json=fix, headers=ci)
    httpx2.post(f"{url}/api/v1/releases", json=fix, headers=operator)
    added = {"line": "django>=5", "because": "the shop"}
    httpx2.post(f"{url}/api/v1/projects", json=added, headers=ci)
    httpx2.post(f"{url}/api/v1/projects", json=added | {"line": f"django{'>=5,' * 400}>=6"}, headers=operator)
    server.terminate()
    lines = audited(server.communicate(timeout=20)[1])

    assert [(line["call"], line["token"], line["right"], line["run"], line["status"]) for line in lines] == [
        ("POST /api/v1/runs/20261122T161233042-3fa9c1/cancel", "operator", "trigger", "20261122T161233042-3fa9c1", 503),
        ("POST /api/v1/runs", "ci", "remove", None, 403),
        ("POST /api/v1/nothing", "ci", None, None, 404),
        ("POST /api/v1/releases", "ci", "remove", None, 403),
        ("POST /api/v1/releases", "operator", "remove", None, 503),
        ("POST /api/v1/projects", "ci", "trigger", None, 503),
        ("POST /api/v1/projects", "operator", "trigger", None, 503),
    ]
    assert [line["release"] for line in lines] == [None] * 4 + ["django==5.2.19 for 2d: CVE-2026-1234"] + [None] * 2
    assert [line["line"] and line["line"][:10] for line in lines] == [None] * 5 + ["django>=5:", "django>=5,"]
    assert len(lines[-1]["line"]) == 1_001
    assert [line["forwarded_for"] for line in lines] == ["10.9.8.7"] + [None] * 6
    assert {line["address"] for line in lines} == {"127.0.0.1"}
    assert {line["level"] for line in lines} == {"info"}
    assert all(set(line) == set(FIELDS) - {"logger"} for line in lines)


@pytest.mark.proves("security/tokens-and-secrets")
def test_audit_ignores_the_log_level(environment_of_quiet: dict[str, str]) -> None:
    """The audit is also written with MIRROR_LOG_LEVEL=error."""
    environment_of_quiet["MIRROR_CONTROL_LISTEN"] = "127.0.0.1:0"
    script = (
        "import structlog; from mirror_control import logs; from mirror_control.settings import LogFormat, LogLevel;"
        "logs.configure(level=LogLevel.ERROR, form=LogFormat.JSON);"
        "structlog.get_logger('mirror_control.access.audit').info('audit', run='r1');"
        "structlog.get_logger('mirror_control.other').info('unheard')"
    )
    python = CONTROL.with_name("python")
    done = subprocess.run([python, "-c", script], env=environment_of_quiet, capture_output=True, text=True, check=True)
    assert [line["run"] for line in audited(done.stderr)] == ["r1"]
    assert "unheard" not in done.stderr


@pytest.mark.proves("security/tokens-and-secrets")
def test_log_lines_cannot_control_a_terminal(environment: dict[str, str]) -> None:
    """Control characters in a path do not reach the log for people."""
    environment["MIRROR_LOG_FORMAT"] = "console"
    with subprocess.Popen([CONTROL], env=environment, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        url = next(found[0] for line in server.stderr if (found := re.search(r"http://127.0.0.1:\d{4,}", line)))
        httpx2.post(f"{url}/api/v1/x%1B[2K%0Daudit")
        server.terminate()
        log = server.communicate(timeout=20)[1]
    assert "/api/v1/x\N{REPLACEMENT CHARACTER}[2K\N{REPLACEMENT CHARACTER}audit" in log
    assert "\x1b[2K" not in log


@pytest.mark.proves("security/tokens-and-secrets")
def test_traceback_cannot_control_a_terminal() -> None:
    """Control characters in a traceback, whose message may come from a client, do not reach the terminal."""
    script = """
import structlog
from mirror_control.logs import configure
from mirror_control.settings import LogFormat, LogLevel
configure(level=LogLevel.INFO, form=LogFormat.CONSOLE)
try:
    raise ValueError("a\\x1b[2J\\u202eb")
except ValueError:
    structlog.get_logger().exception("a defect")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert "ValueError: a\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}b" in done.stderr


def test_audit_names_the_started_run(holder: httpx2.Client, caplog: pytest.LogCaptureFixture) -> None:
    """The audit line of a call that started a run contains the run's id."""
    with caplog.at_level("INFO", logger="mirror_control.access.audit"):
        started = holder.post("/api/v1/runs", json={"kind": "sync"}).json()["id"]
        holder.get("/api/v1/status")  # the line is written right after the answer
    assert f"run='{started}'" in caplog.text


@pytest.mark.proves("security/tokens-and-secrets")
def test_flood_of_refused_calls_is_rate_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """RefusedError calls are logged once a second at most, with the number of suppressed lines."""
    now = 0.0
    monkeypatch.setattr("mirror_control.access.audit.time.monotonic", lambda: now)
    sparing = LogRateLimit()
    told = [sparing.admit() for _ in range(1_000)]
    now = 1.0
    told.append(sparing.admit())
    assert [one for one in told if one is not None] == [0, 999]

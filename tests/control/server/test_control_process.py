"""Control's process: environment, signals and log."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

MIRRORCTL = Path(sys.executable).with_name("mirrorctl")
CONTROL = Path(sys.executable).with_name("mirror-control")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return a container's environment, with nothing at the syncer's address."""
    (tmp_path / "state").mkdir()
    return {
        "PATH": os.environ["PATH"],
        "MIRROR_CONTROL_STATE": str(tmp_path / "state"),
        "MIRROR_CONTROL_LISTEN": "127.0.0.1:0",
        "MIRROR_SYNCER_URL": "http://127.0.0.1:1",
        "MIRROR_LOG_LEVEL": "debug",
        "MIRROR_ACCESS_LOG": str(tmp_path / "logs"),
    }


@pytest.fixture
def process(environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running control and its address, which it logs."""
    process = subprocess.Popen([CONTROL], env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    url = next(found[0] for line in process.stderr if (found := re.search(r"http://127.0.0.1:\d{4,}", line)))
    yield process, url
    process.kill()
    process.communicate()


def test_all_settings_errors_are_reported_together(environment: dict[str, str], tmp_path: Path) -> None:
    """An invalid environment exits with 2 and a line per problem, each with the variable and the valid values."""
    (tmp_path / "token").write_text(" \n")
    wrong = environment | {
        "MIRROR_LOG_LEVEL": "loud",
        "MIRROR_LOG_FORMAT": "xml",
        "MIRROR_SYNCER_URL": "syncer:8090",
        "MIRROR_CONTROL_LISTEN": "8081",
        "MIRROR_CONTROL_STATE": "/nowhere",
        "MIRROR_CONTROL_TOKEN_FILE": str(tmp_path / "token"),
    }
    ended = subprocess.run([CONTROL], env=wrong, capture_output=True, text=True, timeout=20, check=False)
    lines = sorted(ended.stderr.splitlines())

    assert ended.returncode == 2
    assert [line.partition("=")[0] for line in lines] == sorted(set(wrong) - {"PATH", "MIRROR_ACCESS_LOG"})
    assert "Traceback" not in ended.stderr
    assert "'debug', 'info', 'warning' or 'error'" in next(line for line in lines if "LEVEL" in line)


def test_empty_variable_counts_as_unset(environment: dict[str, str]) -> None:
    """Empty variables, as compose passes them, count as unset."""
    empty = environment | {"MIRROR_LOG_FORMAT": "", "MIRROR_CONTROL_TOKEN_FILE": "", "MIRROR_SYNCER_URL": ""}
    ended = subprocess.run([MIRRORCTL, "token"], env=empty, capture_output=True, text=True, timeout=20, check=False)

    assert ended.returncode == 2, "no server has made the token yet"
    assert "No such file" in ended.stderr


def test_created_token_is_never_logged(process: tuple[subprocess.Popen[str], str], environment: dict[str, str]) -> None:
    """`mirrorctl token` prints the created token; no log line contains it, even at level debug."""
    server, url = process
    shown = subprocess.run(
        [MIRRORCTL, "token"], env=environment, capture_output=True, text=True, timeout=20, check=True
    )
    token = shown.stdout.strip()
    for credential in (token, f"{token}x"):
        httpx2.post(f"{url}/api/v1/runs", json={"kind": "sync"}, headers={"Authorization": f"Bearer {credential}"})
    server.terminate()
    _, log = server.communicate(timeout=20)

    assert len(token) >= 43
    assert token not in log
    assert "request without a valid token refused" in log


def test_sigterm_stops_control_in_time(process: tuple[subprocess.Popen[str], str]) -> None:
    """SIGTERM stops control well before compose's ten seconds, and every log line is JSON."""
    server, url = process
    assert httpx2.get(f"{url}/healthz").status_code == 200
    server.send_signal(signal.SIGTERM)
    _, log = server.communicate(timeout=6)
    lines = [json.loads(line) for line in log.splitlines()]

    assert server.returncode == -signal.SIGTERM, "Uvicorn ends by the signal it was sent, once all is closed"
    assert all(list(line)[:3] == ["time", "level", "message"] for line in lines)

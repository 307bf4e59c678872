"""The host's environment of the syncer: proxies, a netrc and a terminal."""

import asyncio
import os
import pty
import sys
from pathlib import Path

import pytest

import fakepypi
from mirror_contract import RunState
from syncer.site import Site
from syncer.wire import wire

NOWHERE = "http://127.0.0.1:9"  # discard: nobody listens


@pytest.fixture
def six(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """A host that mirrors one small project, in an environment without proxies."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    return site


async def test_http_proxy_is_used(
    tmp_path: Path, six: Site, pypi: fakepypi.FakePyPI, environment: pytest.MonkeyPatch
) -> None:
    """If only HTTP_PROXY reaches upstream, the syncer sends it absolute URLs of pages and files."""
    environment.setenv("HTTP_PROXY", pypi.url)  # which answers for any host
    site = Site(tmp_path, upstream="http://pypi.invalid")

    run = await site.sync()

    assert (run.state, run.counts.files_fetched) == (RunState.SUCCEEDED, 2)
    assert {exchange.headers["host"] for exchange in pypi.log} == {"pypi.invalid"}
    site.assert_whole()


@pytest.mark.parametrize(
    ("exception", "state"),
    [
        ("", RunState.FAILED),
        ("127.0.0.1", RunState.SUCCEEDED),
        ("pypi.org, 127.0.0.1", RunState.SUCCEEDED),
        ("*", RunState.SUCCEEDED),
    ],
)
async def test_no_proxy_is_obeyed(six: Site, environment: pytest.MonkeyPatch, exception: str, state: RunState) -> None:
    """The syncer contacts hosts in NO_PROXY directly, and any other host only through the proxy."""
    environment.setenv("HTTP_PROXY", NOWHERE)
    environment.setenv("NO_PROXY", exception)

    run = await six.sync()

    assert run.state is state


async def test_netrc_is_not_sent(tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    """The syncer sends no credentials from the host's own netrc, even for upstream's host."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login operator password secret\n")
    netrc.chmod(0o600)
    environment.setenv("NETRC", str(netrc))
    environment.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").symlink_to(netrc)
    async with wire() as upstream:
        site = Site(tmp_path, upstream=upstream.url)
        site.select("six")
        await site.sync()

    assert upstream.heads
    assert not any("authorization" in head.lower() for head in upstream.heads)


@pytest.mark.proves("security/upstream")
async def test_upstream_cannot_control_the_terminal(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """A file name with markup and escape sequences appears on a terminal as plain text."""
    hostile = "six-2.0[/bold]\x1b]0;pwned\x07\x1b[2J.tar.gz"
    pypi.faults.on_page("six").edit(
        lambda page: page["files"].append({"filename": hostile, "url": "x", "hashes": {"sha256": "0" * 64}})
    )
    mine, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mirror_syncer",
        "sync",
        env={"PATH": os.environ["PATH"], "TERM": "xterm", "COLUMNS": "200", **six.environment()},
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = await asyncio.to_thread(read_all, mine)

    assert await process.wait() == 3
    assert b"Traceback" not in shown
    assert b"six-2.0[/bold]" in shown
    assert b"\x1b]0;pwned" not in shown
    assert b"\x1b[2J" not in shown


def read_all(terminal: int) -> bytes:
    """Read a terminal until its last writer closes it."""
    shown = b""
    try:
        while chunk := os.read(terminal, 4096):
            shown += chunk
    except OSError:  # EIO: the last writer has gone
        pass
    finally:
        os.close(terminal)
    return shown

"""Debian's Chromium in front of a real control, with a fake syncer that can fail."""

import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

from control.conftest import background, client, serve, settings, syncer

__all__ = ["background", "client", "serve", "settings", "syncer"]

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]

Open = Callable[..., AbstractContextManager[Page]]


# No longer than a module: Playwright's event loop runs as long as it is there, and no other one can beside it.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return Chromium: in a container, on the host's network, since what it looks at listens on the loopback."""
    fetched = REPOSITORY / "services/control/src/mirror_control/ui/vendor/package-lock.json"
    assert fetched.is_file(), "services/control/assets/fetch has not been run"
    image = f"pypi-mirror-page-test:{secrets.token_hex(4)}"
    docker("build", "--quiet", "--tag", image, str(HERE))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    hardened = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs=/tmp")
    container = docker("run", "--detach", "--network=host", *hardened, image, f"--remote-debugging-port={port}")
    try:
        with sync_playwright() as playwright:
            browser = connect(playwright.chromium.connect_over_cdp, f"http://127.0.0.1:{port}", container)
            yield browser
            browser.close()
    finally:
        docker("rm", "--force", container)
        docker("rmi", image)


@pytest.fixture
def opened(browser: Browser, client: httpx2.Client) -> Open:
    """Open a page of control's; at its end no script of it has failed and no policy was broken."""

    @contextmanager
    def opened(path: str, **options: Any) -> Iterator[Page]:
        context = browser.new_context(base_url=str(client.base_url), **options)
        context.set_default_timeout(10_000)
        page = context.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        # That an answer was a 401 or a 404 is no error of the page.
        page.on("console", lambda said: wrong.append(said.text) if "Failed to load" not in said.text else None)
        page.goto(path)
        yield page
        context.close()
        assert wrong == []

    return opened


def connect(connector: Callable[[str], Browser], address: str, container: str) -> Browser:
    """Return a browser once it listens; fail with its log if that takes 30 s."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return connector(address)
        except Error:
            if time.monotonic() > deadline:
                raise AssertionError(f"Chromium does not answer:\n{docker('logs', container)}") from None
            time.sleep(0.1)


def docker(*arguments: str) -> str:
    """Run one docker command, and return what it printed."""
    done = subprocess.run(
        ("docker", *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}:\n{done.stdout}"
    return done.stdout.strip()

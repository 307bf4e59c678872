"""Debian's Chromium in front of a real control, with a fake syncer that can fail."""

import re
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserType, Error, Page, expect, sync_playwright

from control.conftest import background, client, serve, settings, syncer

__all__ = ["background", "client", "serve", "settings", "syncer"]

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]

_LISTENING = re.compile(r"DevTools listening on (ws://\S+)")
# A connection that hangs costs this, and not all the time that there is.
_ATTEMPT_MILLISECONDS = 15_000

# An answer that comes at once on an idle machine.
_BUSY_MILLISECONDS = 60_000
expect.set_options(timeout=_BUSY_MILLISECONDS)

Open = Callable[..., AbstractContextManager[Page]]


# No longer than a module: Playwright's event loop runs as long as it is there, and no other one can beside it.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return Chromium: in a container, on the host's network, since what it looks at listens on the loopback."""
    fetched = REPOSITORY / "services/control/src/mirror_control/ui/vendor/package-lock.json"
    assert fetched.is_file(), "services/control/assets/fetch has not been run"
    image = f"pypi-mirror-page-test:{secrets.token_hex(4)}"
    docker("build", "--quiet", "--tag", image, str(HERE))
    hardened = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs=/tmp")
    container = docker("run", "--detach", "--network=host", *hardened, image)
    try:
        with sync_playwright() as playwright:
            browser = connect(playwright.chromium, container)
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
        context.set_default_timeout(_BUSY_MILLISECONDS)
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


def connect(chromium: BrowserType, container: str) -> Browser:
    """
    Return the browser once it has chosen a port and answers there.

    Raises:
        AssertionError: it does not within 90 s; with its log.
        Error: each connection failed, as told.
    """
    deadline = time.monotonic() + 90
    while (listening := _LISTENING.search(docker("logs", container))) is None:
        assert time.monotonic() < deadline, f"Chromium does not listen:\n{docker('logs', container)}"
        time.sleep(0.05)
    while True:
        try:
            return chromium.connect_over_cdp(listening[1], timeout=_ATTEMPT_MILLISECONDS)
        except Error as error:
            if time.monotonic() > deadline:
                error.add_note(f"Chromium's log:\n{docker('logs', container)}")
                raise
            time.sleep(0.1)


def docker(*arguments: str) -> str:
    """Run one docker command, and return what it printed."""
    done = subprocess.run(
        ("docker", *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}:\n{done.stdout}"
    return done.stdout.strip()

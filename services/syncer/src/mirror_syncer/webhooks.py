"""
Webhooks: somebody else's program is told that a run ended, in the form of Standard Webhooks.

https://www.standardwebhooks.com: an id, which stays the same over all attempts, a time, and a signature of both and the
body, so that the receiver knows who speaks, and neither takes an old message nor one twice.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import pycurl
import structlog

from mirror_contract import Run
from mirror_syncer.errors import ConfigurationError
from mirror_syncer.upstream.credentials import Credentials
from mirror_syncer.upstream.proxies import proxy_for

log = structlog.get_logger()

OUTCOMES = ("delivered", "failed", "dropped")
_FAILURES = 10  # of a run's; Standard Webhooks asks for bodies below 20 kB
_WAITING = 100
_CALL_SECONDS = 10
# A receiver that is started anew is met again; one that is gone is given up after a quarter of an hour.
_WAITS = (1.0, 5.0, 30.0, 120.0, 600.0)
# A command ends with its run: so long it waits for the webhook.
_FAREWELL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who is told. The URL of many a receiver is a password, so that its host alone is ever shown."""

    url: str = field(repr=False)
    secret: bytes = field(repr=False)
    authorities: Path | None = None
    credentials: Credentials | None = field(default=None, repr=False)
    """Of the proxy on the way."""

    @property
    def host(self) -> str:
        """What may be shown of it."""
        return urlsplit(self.url).hostname or ""

    def post(self, headers: Sequence[str], body: bytes) -> int:
        """
        Send a message and return the status of the answer; no redirect is followed. Blocks: call it in a thread.

        Raises:
            pycurl.error: there is no answer.
        """
        proxy = proxy_for(self.url)
        if proxy is not None and proxy.login is None and self.credentials is not None:
            proxy = replace(proxy, login=self.credentials.of_proxy(proxy.host))
        easy = pycurl.Curl()
        try:
            easy.setopt(pycurl.URL, self.url)
            easy.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
            easy.setopt(pycurl.POSTFIELDS, body)
            easy.setopt(pycurl.HTTPHEADER, list(headers))
            easy.setopt(pycurl.WRITEFUNCTION, lambda _: None)
            easy.setopt(pycurl.NOSIGNAL, 1)
            easy.setopt(pycurl.TIMEOUT, _CALL_SECONDS)
            if self.authorities is not None:
                easy.setopt(pycurl.CAINFO, str(self.authorities))
            easy.setopt(pycurl.PROXY, proxy.url if proxy else "")  # empty: none, whatever the environment says
            if proxy and proxy.login:
                easy.setopt(pycurl.PROXYUSERNAME, proxy.login[0].encode())
                easy.setopt(pycurl.PROXYPASSWORD, proxy.login[1].encode())
            easy.perform()
            return int(easy.getinfo(pycurl.RESPONSE_CODE))
        finally:
            easy.close()


class Webhooks:
    """
    Messages that wait for their receiver, in memory: what is not delivered when the syncer stops is lost.

    Args:
        count: is told what became of each: one of ``OUTCOMES``.
        waits: seconds before each further attempt.
    """

    def __init__(self, receiver: Receiver, *, count: Callable[[str], None], waits: Sequence[float] = _WAITS) -> None:
        self._receiver = receiver
        self._count = count
        self._waits = waits
        self._queue: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(_WAITING)

    def tell(self, run: Run) -> None:
        """Send word of a run that ended; of others there is none."""
        if not run.state.ended:
            return
        try:
            self._queue.put_nowait((run.id, _body(run)))
        except asyncio.QueueFull:
            self._count("dropped")
            log.warning("webhook dropped: too many wait", run=run.id, receiver=self._receiver.host)

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send beside the block; after it, what waits has five seconds more."""
        task = asyncio.create_task(self._send())
        try:
            yield
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL_SECONDS):
                    await self._queue.join()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _send(self) -> None:
        while True:
            identifier, body = await self._queue.get()
            trouble = await self._deliver(identifier, body)
            self._count("failed" if trouble else "delivered")
            if trouble:
                log.warning("webhook not delivered", run=identifier, receiver=self._receiver.host, why=trouble)
            self._queue.task_done()

    async def _deliver(self, identifier: str, body: bytes) -> str | None:
        """Return why it was given up, or None."""
        trouble = None
        for wait in (0.0, *self._waits):
            await asyncio.sleep(wait)
            headers = ["Content-Type: application/json", *_signature(self._receiver.secret, identifier, body)]
            try:
                status = await asyncio.to_thread(self._receiver.post, headers, body)
            except pycurl.error as error:
                trouble = str(error.args[-1])
            else:
                if 200 <= status < 300:  # noqa: PLR2004 - success
                    return None
                trouble = f"HTTP {status}"
        return trouble


def read_secret(path: Path | None) -> bytes:
    """
    Return the key that messages are signed with: ``whsec_`` and base64, as receivers make them, or any text.

    Raises:
        ConfigurationError: there is none, or it is too short to be one.
    """
    try:
        text = path.read_text().strip() if path is not None else ""
        key = base64.b64decode(text[6:], validate=True) if text.startswith("whsec_") else text.encode()
    except (OSError, UnicodeDecodeError, binascii.Error):
        key = b""
    if len(key) < 16:  # noqa: PLR2004 - as control's token
        told = "MIRROR_WEBHOOK_SECRET_FILE: MIRROR_WEBHOOK_URL wants a file with 16 characters or more to sign with"
        raise ConfigurationError(".env", [told])
    return key


def _body(run: Run) -> bytes:
    data = run.model_copy(update={"failures": run.failures[:_FAILURES]}).model_dump(mode="json", exclude_none=True)
    return json.dumps({"type": "run.ended", "timestamp": data["finished_at"], "data": data}).encode()


def _signature(secret: bytes, identifier: str, body: bytes) -> list[str]:
    now = int(time.time())
    digest = hmac.digest(secret, f"{identifier}.{now}.".encode() + body, hashlib.sha256)
    signature = base64.b64encode(digest).decode()
    return [f"Webhook-Id: {identifier}", f"Webhook-Timestamp: {now}", f"Webhook-Signature: v1,{signature}"]

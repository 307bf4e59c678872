"""
Webhooks: somebody else's program is told that a run ended, in the form of Standard Webhooks.

https://www.standardwebhooks.com: an id, which stays the same over all attempts, a time, and a signature of both and the
body, so that the receiver knows who speaks, and neither takes an old message nor one twice.

Each message arrives once at least, or is given up a day after its run's end: that one is owed stands in the catalog, in
one transaction with the end, until it was delivered. A kill between the two sends it once more, with the same id.
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
from mirror_contract.secret_file import MIN_SECRET_BYTES, SecretFileError, read_secret_file
from mirror_syncer.catalog import Messages
from mirror_syncer.errors import ConfigurationError
from mirror_syncer.upstream.http.credentials import Credentials
from mirror_syncer.upstream.http.proxies import proxy_for

log = structlog.get_logger()

_FAILURES = 10  # of a run's, or fewer: a thousand of upstream's characters take up to 12 kB in JSON
_BODY_MOST = 20_000  # bytes; Standard Webhooks asks for less, and a receiver may refuse more
_WAITING = 100
_CALL_SECONDS = 10
# A receiver that is started anew is met again within minutes; after that the last of these is repeated.
_WAITS = (1.0, 5.0, 30.0, 120.0, 600.0, 3600.0)
# A night, or what a host's repair takes; whoever comes back later looks at the list of runs.
_PATIENCE_SECONDS = 86_400.0
# A command ends with its run: so long it waits for the webhook. What is not delivered then, the next process sends.
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
            proxy = replace(proxy, login=self.credentials.proxy_login(proxy.host))
        easy = pycurl.Curl()
        try:
            easy.setopt(pycurl.URL, self.url.encode())  # of a str it takes ASCII alone
            easy.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
            easy.setopt(pycurl.POSTFIELDS, body)
            easy.setopt(pycurl.HTTPHEADER, list(headers))
            easy.setopt(pycurl.WRITEFUNCTION, lambda _: 0)  # the status tells all, and a body may have no end
            easy.setopt(pycurl.NOSIGNAL, 1)
            easy.setopt(pycurl.TIMEOUT, _CALL_SECONDS)
            if self.authorities is not None:
                easy.setopt(pycurl.CAINFO, str(self.authorities))
            easy.setopt(pycurl.NOPROXY, "")  # `proxy_for` judges alone
            easy.setopt(pycurl.PROXY, proxy.url if proxy else "")  # empty: none, whatever the environment says
            if proxy and proxy.login:
                easy.setopt(pycurl.PROXYUSERNAME, proxy.login[0].encode())
                easy.setopt(pycurl.PROXYPASSWORD, proxy.login[1].encode())
            try:
                easy.perform()
            except pycurl.error as error:
                if error.args[0] != pycurl.E_WRITE_ERROR:
                    raise
            return int(easy.getinfo(pycurl.RESPONSE_CODE))
        finally:
            easy.close()


@dataclass(slots=True)
class _Message:
    """What waits; times are the loop's."""

    run_id: str
    body: bytes
    due: float
    given_up: float
    """When no further attempt is made."""
    tries: int = 0


class Webhooks:
    """
    Messages on their way to the receiver.

    They wait in memory, a hundred at most, so that a full state disk keeps none back; and in the catalog, so that the
    next process goes on. One attempt is under way at a time; a message that is refused holds up no other.

    Args:
        messages: where the catalog keeps which are owed.
        count: is told what became of each: delivered, failed or dropped.
        waits: seconds before each further attempt, the last of them again and again.
        patience: seconds from a run's end to the last attempt; what is older at the start has one.
    """

    def __init__(
        self,
        receiver: Receiver,
        *,
        messages: Messages,
        count: Callable[[str], None],
        waits: Sequence[float] = _WAITS,
        patience: float = _PATIENCE_SECONDS,
    ) -> None:
        self._receiver = receiver
        self._messages = messages
        self._count = count
        self._waits = waits
        self._patience = patience
        self._waiting: dict[str, _Message] = {}
        self._told = set[str]()
        """Runs whose end the catalog was not told of yet, on a full disk, or whose message it still owes."""
        self._stirred = asyncio.Event()
        self._leaving: float | None = None
        """When it is too late for another attempt; None until the block ends."""

    def tell(self, run: Run) -> None:
        """Send word of a run that ended; of others there is none."""
        if run.state.ended and len(self._waiting) < _WAITING:
            self._expect(run)
        elif run.state.ended:
            self._count("dropped")
            log.warning("webhook dropped: too many wait", run=run.id, receiver=self._receiver.host)
            self._settle(run.id)

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send beside the block, first what an earlier process owed; after it, what can be sent within five seconds."""
        for run in await asyncio.to_thread(self._messages.undelivered, limit=_WAITING):
            self._expect(run)
        task = asyncio.create_task(self._send())
        try:
            yield
        finally:
            self._leaving = time.monotonic() + _FAREWELL_SECONDS
            self._stirred.set()
            await asyncio.wait([task], timeout=_FAREWELL_SECONDS)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await asyncio.to_thread(self._settle)

    def _expect(self, run: Run) -> None:
        now = time.monotonic()
        # The host's clock may have been set since: a run of tomorrow has just ended.
        age = max(0.0, time.time() - run.finished_at.timestamp()) if run.finished_at else 0.0
        self._waiting[run.id] = _Message(run.id, _body(run), due=now, given_up=now + self._patience - age)
        self._stirred.set()

    async def _send(self) -> None:
        while True:
            self._stirred.clear()
            # An id sorts by time: of those that are due, the oldest first.
            message = min(self._waiting.values(), key=lambda one: (one.due, one.run_id), default=None)
            now = time.monotonic()
            if message is not None and message.due <= now:
                await self._attempt(message)
            elif self._leaving is not None and (message is None or message.due > self._leaving):
                return
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(None if message is None else message.due - now):
                        await self._stirred.wait()

    async def _attempt(self, message: _Message) -> None:
        message.tries += 1
        trouble = await self._deliver(message)
        now = time.monotonic()
        told = {"run": message.run_id, "receiver": self._receiver.host, "why": trouble}
        if trouble is not None and now < message.given_up:
            wait = self._waits[min(message.tries, len(self._waits)) - 1]
            message.due = min(now + wait, message.given_up)
            if message.tries == len(self._waits):
                log.warning("webhook not delivered yet", again_within_seconds=wait, **told)
            return
        if trouble is None:
            for other in self._waiting.values():  # the receiver is there again
                other.due = min(other.due, now)
        else:
            log.warning("webhook not delivered", **told)
        self._count("delivered" if trouble is None else "failed")
        del self._waiting[message.run_id]
        await asyncio.to_thread(self._settle, message.run_id)

    async def _deliver(self, message: _Message) -> str | None:
        """Return why it did not arrive, or None."""
        signature = _signature(self._receiver.secret, message.run_id, message.body)
        headers = ["Content-Type: application/json", *signature]
        try:
            status = await asyncio.to_thread(self._receiver.post, headers, message.body)
        except pycurl.error as error:
            return str(error.args[-1])
        return None if 200 <= status < 300 else f"HTTP {status}"  # noqa: PLR2004 - success

    def _settle(self, *run_ids: str) -> None:
        """Owe no message of these runs, nor of those before that the catalog could not be told of then."""
        self._told.update(run_ids)
        for run_id in tuple(self._told):
            try:
                if self._messages.mark_delivered(run_id):
                    self._told.discard(run_id)
            except Exception as error:  # noqa: BLE001 - whatever the catalog says: it was sent, or dropped
                if run_id in run_ids:
                    log.warning("a webhook may be sent once more, after a restart", run=run_id, why=str(error))


def read_secret(path: Path | None) -> bytes:
    """
    Return the key that messages are signed with: ``whsec_`` and base64, as receivers make them, or any text.

    Raises:
        ConfigurationError: there is none, or it is too short to be one.
    """
    variable = "MIRROR_WEBHOOK_SECRET_FILE"
    if path is None:
        raise ConfigurationError(".env", [f"{variable}: MIRROR_WEBHOOK_URL needs a file with a secret to sign with"])
    try:
        secret = read_secret_file(path)
        key = base64.b64decode(secret[6:], validate=True) if secret.startswith(b"whsec_") else secret
    except (SecretFileError, binascii.Error) as error:
        raise ConfigurationError(".env", [f"{variable}: {error}"]) from error
    if len(key) < MIN_SECRET_BYTES:
        raise ConfigurationError(".env", [f"{variable}: {path} holds a key of fewer than {MIN_SECRET_BYTES} bytes"])
    return key


def _body(run: Run) -> bytes:
    data = run.model_dump(mode="json", exclude_none=True)
    del data["failures"][_FAILURES:]
    body = {"type": "run.ended", "timestamp": data["finished_at"], "data": data}
    while len(encoded := json.dumps(body).encode()) >= _BODY_MOST and data["failures"]:
        data["failures"].pop()
    return encoded


def _signature(secret: bytes, identifier: str, body: bytes) -> list[str]:
    now = int(time.time())
    digest = hmac.digest(secret, f"{identifier}.{now}.".encode() + body, hashlib.sha256)
    signature = base64.b64encode(digest).decode()
    return [f"Webhook-Id: {identifier}", f"Webhook-Timestamp: {now}", f"Webhook-Signature: v1,{signature}"]

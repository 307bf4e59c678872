"""
Webhooks: messages to another program when a run ends, as Standard Webhooks defines them.

https://www.standardwebhooks.com: an id, which stays the same in all attempts, a timestamp, and a signature of both and
of the body, so that the receiver can check the sender and reject old or repeated messages.

Each message arrives at least once, or is given up a day after its run's end. The catalog records the message in the
same transaction as the run's end, until it is delivered. After a kill in between it is sent again with the same id.
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
from mirror_syncer.runs.context import RunContext
from mirror_syncer.upstream import ClientOptions, Credentials
from mirror_syncer.upstream.http.authorities import trusted_authorities
from mirror_syncer.upstream.http.proxies import proxy_for

log = structlog.get_logger()

_MAX_CHANGES = 10
_MAX_FAILURES = 10  # or fewer: a thousand of upstream's characters take up to 12 kB in JSON
_MAX_BODY_BYTES = 20_000  # Standard Webhooks requires less, and a receiver may refuse more
_MAX_WAITING = 100
_CALL_SECONDS = 10
# Between attempts; a restarted receiver is reached within minutes. The last one is repeated.
_WAIT_SECONDS = (1.0, 5.0, 30.0, 120.0, 600.0, 3600.0)
# A night, or the repair of a host; after a longer outage the receiver can read the list of runs.
_PATIENCE_SECONDS = 86_400.0
# How long a command waits for the delivery after its run; the next process sends what is left.
_FAREWELL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Receiver:
    """The receiver of the messages. Its URL is often a secret, so only its host is ever shown."""

    url: str = field(repr=False)
    secret: bytes = field(repr=False)
    authorities: Path | None = None
    credentials: Credentials | None = field(default=None, repr=False)
    """May hold the login of a proxy."""

    @property
    def host(self) -> str:
        """The part of the URL that may be shown."""
        return urlsplit(self.url).hostname or ""

    def post(self, headers: Sequence[str], body: bytes) -> int:
        """
        Send a message and return the response's status; redirects are not followed. Blocks: call it in a thread.

        Raises:
            pycurl.error: there is no response.
        """
        proxy = proxy_for(self.url)
        if proxy is not None and proxy.login is None and self.credentials is not None:
            proxy = replace(proxy, login=self.credentials.proxy_login(proxy.host))
        easy = pycurl.Curl()
        try:
            easy.setopt(pycurl.URL, self.url.encode())  # pycurl accepts only ASCII in a str
            easy.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
            easy.setopt(pycurl.POSTFIELDS, body)
            easy.setopt(pycurl.HTTPHEADER, list(headers))
            easy.setopt(pycurl.WRITEFUNCTION, lambda _: 0)  # only the status matters, and a body may be endless
            easy.setopt(pycurl.NOSIGNAL, 1)
            easy.setopt(pycurl.TIMEOUT, _CALL_SECONDS)
            if self.authorities is not None:
                easy.setopt(pycurl.CAINFO, str(self.authorities))
            easy.setopt(pycurl.NOPROXY, "")  # only `proxy_for` decides
            easy.setopt(pycurl.PROXY, proxy.url if proxy else "")  # empty: no proxy, whatever the environment says
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
    """A message that waits for delivery; times are the monotonic clock's."""

    run_id: str
    body: bytes
    due: float
    expires: float
    """When the last attempt is made."""
    tries: int = 0


class Webhooks:
    """
    Delivers messages to the receiver.

    At most a hundred wait in memory, so that a full state disk delays none, and in the catalog, so that the next
    process continues. There is one attempt at a time; a refused message does not delay the others.

    Args:
        messages: the undelivered messages in the catalog.
        count: called with the result of each message: delivered, failed or dropped.
        waits: seconds before each retry; the last one is repeated.
        patience: seconds from the end of a run to the last attempt; an older message gets one attempt.
    """

    def __init__(
        self,
        receiver: Receiver,
        *,
        messages: Messages,
        count: Callable[[str], None],
        waits: Sequence[float] = _WAIT_SECONDS,
        patience: float = _PATIENCE_SECONDS,
    ) -> None:
        self._receiver = receiver
        self._messages = messages
        self._count = count
        self._waits = waits
        self._patience = patience
        self._waiting: dict[str, _Message] = {}
        self._to_settle = set[str]()
        """Runs whose message is done, which the catalog could not record yet."""
        self._changed = asyncio.Event()
        self._deadline: float | None = None
        """When the last attempt may start; None until the block ends."""

    def announce(self, run: Run) -> None:
        """Send a message if a run has ended."""
        if run.state.ended and len(self._waiting) < _MAX_WAITING:
            self._add(run)
        elif run.state.ended:
            self._count("dropped")
            log.warning("webhook dropped: too many messages wait", run=run.id, receiver=self._receiver.host)
            self._settle(run.id)

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send messages during the block, earlier processes' first, and for up to five seconds at its end."""
        for run in await asyncio.to_thread(self._messages.undelivered, limit=_MAX_WAITING):
            self._add(run)
        task = asyncio.create_task(self._send())
        try:
            yield
        finally:
            self._deadline = time.monotonic() + _FAREWELL_SECONDS
            self._changed.set()
            await asyncio.wait([task], timeout=_FAREWELL_SECONDS)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await asyncio.to_thread(self._settle)

    def _add(self, run: Run) -> None:
        now = time.monotonic()
        # The host's clock may have been set back since: a run of tomorrow has just ended.
        age = max(0.0, time.time() - run.finished_at.timestamp()) if run.finished_at else 0.0
        self._waiting[run.id] = _Message(run.id, _body(run), due=now, expires=now + self._patience - age)
        self._changed.set()

    async def _send(self) -> None:
        while True:
            self._changed.clear()
            # Of the due messages the oldest first: ids sort by time.
            message = min(self._waiting.values(), key=lambda one: (one.due, one.run_id), default=None)
            now = time.monotonic()
            if message is not None and message.due <= now:
                await self._attempt(message)
            elif self._deadline is not None and (message is None or message.due > self._deadline):
                return
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(None if message is None else message.due - now):
                        await self._changed.wait()

    async def _attempt(self, message: _Message) -> None:
        message.tries += 1
        failure = await self._deliver(message)
        now = time.monotonic()
        details = {"run": message.run_id, "receiver": self._receiver.host, "why": failure}
        if failure is not None and now < message.expires:
            wait = self._waits[min(message.tries, len(self._waits)) - 1]
            message.due = min(now + wait, message.expires)
            if message.tries == len(self._waits):
                log.warning("webhook not delivered; retrying", retry_seconds=wait, **details)
            return
        if failure is None:
            for other in self._waiting.values():  # the receiver is available again
                other.due = min(other.due, now)
        else:
            log.warning("webhook not delivered; giving up", **details)
        self._count("delivered" if failure is None else "failed")
        del self._waiting[message.run_id]
        await asyncio.to_thread(self._settle, message.run_id)

    async def _deliver(self, message: _Message) -> str | None:
        """Send a message; return why that failed, or None."""
        signature = _signature(self._receiver.secret, message.run_id, message.body)
        headers = ["Content-Type: application/json", *signature]
        try:
            status = await asyncio.to_thread(self._receiver.post, headers, message.body)
        except pycurl.error as error:
            return str(error.args[-1])
        return None if 200 <= status < 300 else f"HTTP {status}"  # noqa: PLR2004 - success

    def _settle(self, *run_ids: str) -> None:
        """Record that the messages of these runs, and of earlier ones that could not be recorded, are done."""
        self._to_settle.update(run_ids)
        for run_id in tuple(self._to_settle):
            try:
                if self._messages.mark_delivered(run_id):
                    self._to_settle.discard(run_id)
            except Exception as error:  # noqa: BLE001 - any failure of the catalog; the message was sent, or dropped
                if run_id in run_ids:
                    log.warning("a webhook may be sent again after a restart", run=run_id, why=str(error))


@asynccontextmanager
async def sending_webhooks(context: RunContext, client: ClientOptions) -> AsyncIterator[None]:
    """
    Send a message for each run that ends within the block, if ``MIRROR_WEBHOOK_URL`` is set.

    Raises:
        ConfigurationError: there is no key to sign with.
    """
    settings, catalog = context.settings, context.catalog
    if settings.webhook_url is None:
        yield
        return
    secret = read_secret(settings.webhook_secret_file)
    with trusted_authorities(client.ca_file) as authorities:
        receiver = Receiver(settings.webhook_url, secret, authorities, client.credentials)
        webhooks = Webhooks(receiver, messages=catalog.messages, count=context.metrics.count_webhook)
        catalog.runs.notifies_webhook = True
        context.runs.subscribe(webhooks.announce)
        async with webhooks.sending():
            yield


def read_secret(path: Path | None) -> bytes:
    """
    Return the signing key: ``whsec_`` and base64, as receivers generate it, or any text.

    Raises:
        ConfigurationError: the file is missing, or the key is too short.
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
    del data["failures"][_MAX_FAILURES:], data["changes"][_MAX_CHANGES:]
    body = {"type": "run.ended", "timestamp": data["finished_at"], "data": data}
    while len(encoded := json.dumps(body).encode()) >= _MAX_BODY_BYTES and data["failures"]:
        data["failures"].pop()
    return encoded


def _signature(secret: bytes, identifier: str, body: bytes) -> list[str]:
    now = int(time.time())
    digest = hmac.digest(secret, f"{identifier}.{now}.".encode() + body, hashlib.sha256)
    signature = base64.b64encode(digest).decode()
    return [f"Webhook-Id: {identifier}", f"Webhook-Timestamp: {now}", f"Webhook-Signature: v1,{signature}"]

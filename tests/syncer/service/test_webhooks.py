"""Webhooks: a real receiver over HTTP, which fails, moves away, hangs, and checks who speaks."""

import asyncio
import base64
import codecs
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
import trustme
from aiohttp import web

import fakepypi
from mirror_contract import Failure, Run, RunKind, RunRequest, RunState, Trigger
from mirror_syncer.catalog import Catalog, schema
from mirror_syncer.config.settings import Settings, read_settings
from mirror_syncer.errors import ConfigurationError, StateError
from mirror_syncer.service import webhooks
from mirror_syncer.service.webhooks import Receiver, Webhooks, read_secret
from syncer.site import Site

SECRET = b"sixteen-bytes-and-more"
PATH = "/hooks/T0P-S3CR3T"


@dataclass
class Chat:
    """A receiver that answers as it is told, and then 204."""

    answers: list[int] = field(default_factory=list)
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    elsewhere: int = 0
    url: str = ""

    async def hook(self, request: web.Request) -> web.Response:
        """Take a message."""
        self.heard.append((dict(request.headers), await request.read()))
        status = self.answers.pop(0) if self.answers else 204
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else None)

    async def other(self, _: web.Request) -> web.Response:
        """Be where nobody is to go."""
        self.elsewhere += 1
        return web.Response()


@asynccontextmanager
async def listening(chat: Chat, *, tls: trustme.CA | None = None, port: int = 0) -> AsyncIterator[Chat]:
    """Run a receiver."""
    application = web.Application()
    application.add_routes([web.post("/hooks/{_}", chat.hook), web.route("*", "/elsewhere", chat.other)])
    runner = web.AppRunner(application)
    await runner.setup()
    context = None
    if tls is not None:
        import ssl  # noqa: PLC0415

        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.issue_cert("127.0.0.1").configure_cert(context)
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    chat.url = f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}{PATH}"
    try:
        yield chat
    finally:
        await runner.cleanup()


def ended(state: RunState = RunState.FAILED, *, failures: int = 0, number: int = 0) -> Run:
    """Return a run."""
    return Run.model_validate(
        {
            "id": f"20261122T161233905-3fa9c{number}",
            "request": RunRequest(kind=RunKind.SYNC),
            "trigger": Trigger.SCHEDULE,
            "state": state,
            "created_at": "2026-11-22T16:12:33Z",
            "finished_at": datetime.now(UTC) if state.ended else None,
            "failures": [Failure(project="six", reason="x" * 2000)] * failures,
        }
    )


def valid(headers: dict[str, str], body: bytes) -> bool:
    """Return whether a message is signed as Standard Webhooks says, written anew from the specification."""
    signed = f"{headers['Webhook-Id']}.{headers['Webhook-Timestamp']}.{body.decode()}".encode()
    expected = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
    return headers["Webhook-Signature"] == f"v1,{expected}"


class Post:
    """Runs that end in a catalog, and messages of them; each ``send`` is a process of its own."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        catalog.runs.notifies_webhook = True

    async def send(
        self, receiver: Receiver, *runs: Run, waits: tuple[float, ...] = (0.01,), patience: float = 86_400
    ) -> list[str]:
        """End runs and send word of them; return what became of each message."""
        outcomes: list[str] = []
        hooks = Webhooks(
            receiver, messages=self.catalog.messages, count=outcomes.append, waits=waits, patience=patience
        )
        async with hooks.sending():
            for run in runs:
                self.catalog.runs.update(run)
                hooks.announce(run)
        return outcomes

    def owed(self) -> list[str]:
        """Return the ids of the runs of whose end a message is owed."""
        return [run.id for run in self.catalog.messages.undelivered(limit=1_000)]


@pytest.fixture
def post(catalog: Catalog) -> Post:
    """Return a way to send, with an empty catalog."""
    return Post(catalog)


async def test_a_receiver_that_fails_first_is_told(post: Post) -> None:
    """Errors and redirects are tried again, the same message rightly signed each time; nobody else is asked."""
    async with listening(Chat([500, 302])) as chat:
        run = ended(failures=100)
        outcomes = await post.send(Receiver(chat.url, SECRET), run, ended(RunState.RUNNING, number=1))

    assert (outcomes, post.owed()) == (["delivered"], [])
    assert len(chat.heard) == 3
    assert all(valid(headers, body) for headers, body in chat.heard)
    assert {headers["Webhook-Id"] for headers, _ in chat.heard} == {"20261122T161233905-3fa9c0"}
    message = json.loads(chat.heard[-1][1])
    assert (message["type"], message["timestamp"]) == (
        "run.ended",
        f"{run.finished_at:%Y-%m-%dT%H:%M:%S.%fZ}",
    )
    assert Run.model_validate(message["data"]).state is RunState.FAILED
    assert len(chat.heard[-1][1]) < 20_000
    assert chat.elsewhere == 0


@pytest.mark.proves("reliability/time-and-order")
async def test_upstream_s_words_make_no_message_too_long(post: Post) -> None:
    """Whatever upstream says, a message has fewer than 20 kB: a receiver may refuse a longer one for a day."""
    failures = [Failure(project="six", reason="\N{SKULL}\N{PILE OF POO}" * 500)] * 10
    run = ended().model_copy(update={"failures": failures})
    async with listening(Chat()) as chat:
        assert await post.send(Receiver(chat.url, SECRET), run) == ["delivered"]

    ((_, body),) = chat.heard
    assert len(body) < 20_000
    assert Run.model_validate(json.loads(body)["data"]).failures == failures[:1]


async def test_a_url_may_have_any_letters(post: Post) -> None:
    """A receiver whose URL has letters beyond ASCII is told as any other."""
    async with listening(Chat()) as chat:
        url = chat.url.replace(PATH, "/hooks/gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n")
        assert await post.send(Receiver(url, SECRET), ended()) == ["delivered"]


@pytest.mark.proves("reliability/time-and-order")
async def test_an_answer_without_end_is_an_answer(post: Post) -> None:
    """A receiver that takes a message, and says so for ever, was told once: its status tells all."""

    class Talker(Chat):
        async def hook(self, request: web.Request) -> web.Response:
            self.heard.append((dict(request.headers), await request.read()))
            answer = web.StreamResponse()
            await answer.prepare(request)
            with suppress(ConnectionError):
                while True:
                    await answer.write(b"ok" * 10_000)
            return web.Response()

    async with listening(Talker()) as chat:
        assert await post.send(Receiver(chat.url, SECRET), ended(), waits=(0.01,)) == ["delivered"]
        assert len(chat.heard) == 1


async def test_a_receiver_that_is_gone_is_given_up(post: Post, capsys: pytest.CaptureFixture[str]) -> None:
    """After the last attempt the log says so, by the receiver's host: its URL is a password."""
    async with listening(Chat([500] * 1_000)) as chat:
        outcomes = await post.send(Receiver(chat.url, SECRET), ended(), patience=1)
    # Nobody listens any more; and what is older than patience at the start has one attempt.
    outcomes += await post.send(Receiver(chat.url, SECRET), ended(number=1), patience=0, waits=(60,))
    shown = capsys.readouterr()

    assert (outcomes, post.owed()) == (["failed", "failed"], [])
    assert len(chat.heard) > 1
    assert "not delivered; retrying" in shown.out + shown.err
    assert "HTTP 500" in shown.out + shown.err
    assert "T0P-S3CR3T" not in shown.out + shown.err + repr(Receiver(chat.url, SECRET))


async def test_who_has_no_right_certificate_is_told_nothing(post: Post, tmp_path: Path) -> None:
    """Over TLS a receiver is believed by the operator's authorities, and no other."""
    right, wrong = trustme.CA(), trustme.CA()
    right.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with listening(Chat(), tls=right) as good, listening(Chat(), tls=wrong) as bad:
        outcomes = await post.send(Receiver(good.url, SECRET, tmp_path / "ca.pem"), ended())
        outcomes += await post.send(Receiver(bad.url, SECRET, tmp_path / "ca.pem"), ended(number=1), patience=0)

    assert outcomes == ["delivered", "failed"]
    assert bad.heard == []


async def test_too_many_are_dropped_and_counted(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that fails costs no more memory than a hundred messages, and a stop no more than its farewell."""
    monkeypatch.setattr(webhooks, "_FAREWELL_SECONDS", 0.05)
    runs = [ended(number=number) for number in range(1_000, 1_150)]
    async with listening(Chat([500] * 150)) as chat:
        outcomes = await post.send(Receiver(chat.url, SECRET), *runs, waits=(60,))

    assert outcomes == ["dropped"] * 50
    assert post.owed() == [run.id for run in runs[:100]]


@pytest.mark.proves("reliability/time-and-order")
async def test_a_receiver_that_is_back_is_told_all(post: Post) -> None:
    """What waits for another attempt goes once another message arrives, and what is refused holds up no other."""
    first, second = ended(), ended(number=1)
    async with listening(Chat([500])) as chat:
        outcomes = await post.send(Receiver(chat.url, SECRET), first, second, waits=(60,))

    assert outcomes == ["delivered", "delivered"]
    assert [headers["Webhook-Id"] for headers, _ in chat.heard] == [first.id, second.id, first.id]


@pytest.mark.parametrize("announced", [True, False])
def test_a_message_is_owed_with_the_run_s_end(catalog: Catalog, *, announced: bool) -> None:
    """From the very transaction on that keeps a run's end, a message is owed, where there is somebody to tell."""
    catalog.runs.notifies_webhook = announced
    catalog.runs.add(ended(RunState.RUNNING))
    catalog.runs.update(ended(RunState.RUNNING))
    assert catalog.messages.undelivered(limit=9) == []
    run = ended()
    catalog.runs.update(run)
    catalog.runs.update(run)
    assert catalog.messages.undelivered(limit=9) == [run] * announced


async def test_a_run_that_cannot_be_read_keeps_no_message_back(post: Post) -> None:
    """After a way back to an older version, what the newer one wrote holds up neither the start nor other messages."""
    runs = [ended(number=number) for number in range(2)]
    for run in runs:
        post.catalog.runs.update(run)
    newer = runs[0].model_dump_json().replace('"force":', '"fervour":')
    with post.catalog._engine.begin() as connection:
        connection.execute(sa.update(schema.run).where(schema.run.c.id == runs[0].id).values(document=newer))
    async with listening(Chat()) as chat:
        assert await post.send(Receiver(chat.url, SECRET)) == ["delivered"]

    assert [headers["Webhook-Id"] for headers, _ in chat.heard] == [runs[1].id]


@pytest.mark.proves("reliability/time-and-order")
async def test_a_message_outlives_its_process(
    site: Site, pypi: fakepypi.FakePyPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Word of a run whose receiver was away until after a restart of the syncer comes then, once."""
    monkeypatch.setattr(webhooks, "_FAREWELL_SECONDS", 0.0)
    pypi.index.project("six").upload("1.0")
    site.select("six")
    (tmp_path / "key").write_bytes(SECRET)
    async with listening(Chat()) as chat:
        pass  # and is away from now on
    async with site.running(webhook_url=chat.url, webhook_secret_file=tmp_path / "key") as running:
        run = await running.sync()
    assert chat.heard == []
    async with listening(chat, port=urlsplit(chat.url).port or 0):
        for _ in range(2):  # the second has nothing left to tell
            monkeypatch.setattr(webhooks, "_FAREWELL_SECONDS", 5.0)
            async with site.running(webhook_url=chat.url, webhook_secret_file=tmp_path / "key"):
                pass

    ((headers, body),) = chat.heard
    assert (headers["Webhook-Id"], valid(headers, body)) == (run.id, True)
    assert Run.model_validate(json.loads(body)["data"]) == run


@pytest.mark.proves("reliability/time-and-order")
async def test_a_full_catalog_keeps_no_message_back(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that fails for want of room on the state disk is told of all the same."""

    def full(*_: object, **__: object) -> None:
        raise StateError("the catalog cannot be written: disk full")

    monkeypatch.setattr(post.catalog.runs, "update", lambda _: None)
    monkeypatch.setattr(post.catalog.messages, "mark_delivered", full)
    async with listening(Chat()) as chat:
        assert await post.send(Receiver(chat.url, SECRET), ended()) == ["delivered"]


@pytest.mark.proves("reliability/time-and-order")
async def test_an_end_that_is_kept_late_is_told_once(post: Post) -> None:
    """Word of a run whose end the catalog had no room for is not sent again once it has: not months later, either."""
    settled = asyncio.Event()
    first, second = ended(), ended(number=1)
    async with listening(Chat()) as chat:
        # One is sent at a time: when the second has been, the first is settled.
        told = iter([lambda: None, settled.set])
        hooks = Webhooks(Receiver(chat.url, SECRET), messages=post.catalog.messages, count=lambda _: next(told)())
        async with asyncio.timeout(60), hooks.sending():
            hooks.announce(first)
            hooks.announce(second)
            await settled.wait()
            post.catalog.runs.update(first)

    assert post.owed() == []
    assert [headers["Webhook-Id"] for headers, _ in chat.heard] == [first.id, second.id]


async def test_a_run_is_told_by_the_syncer(
    site: Site, pypi: fakepypi.FakePyPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a URL and a key the syncer tells of each run that ended, and counts what became of the message."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    (tmp_path / "key").write_bytes(SECRET)
    async with listening(Chat()) as chat:
        async with site.running(webhook_url=chat.url, webhook_secret_file=tmp_path / "key") as running:
            run = await running.sync()
        # A stop, too, waits for what is to be sent.
        ((headers, body),) = chat.heard
        counted = running.mirror.metrics.exposition().decode()

    assert valid(headers, body)
    assert json.loads(body)["data"]["id"] == run.id
    assert 'pypi_mirror_webhooks_total{outcome="delivered"} 1.0' in counted


@pytest.mark.parametrize("key", ["", "short", "whsec_?", None])
def test_a_key_that_is_none_is_told(tmp_path: Path, key: str | None) -> None:
    """Without a usable key nothing is sent unsigned: the start says what is wanted."""
    if key is not None:
        (tmp_path / "key").write_text(key)
    with pytest.raises(ConfigurationError, match="MIRROR_WEBHOOK_SECRET_FILE"):
        read_secret(tmp_path / "key")


def test_a_key_is_read_as_receivers_make_them(tmp_path: Path) -> None:
    """``whsec_`` and base64 is the key that it encodes; any other text is a key itself."""
    (tmp_path / "key").write_text(f"whsec_{base64.b64encode(SECRET).decode()}\n")
    assert read_secret(tmp_path / "key") == SECRET
    (tmp_path / "key").write_bytes(SECRET + b"\n")
    assert read_secret(tmp_path / "key") == SECRET


def test_a_wrong_url_is_told_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong about it is said without it: it is the password of many a receiver."""
    monkeypatch.setenv("MIRROR_WEBHOOK_URL", "ftp://chat.example.org/T0P-S3CR3T")
    with pytest.raises(ConfigurationError, match="MIRROR_WEBHOOK_URL") as raised:
        read_settings()
    assert "T0P-S3CR3T" not in str(raised.value)
    assert "T0P-S3CR3T" not in repr(Settings.model_construct(webhook_url="https://x/T0P-S3CR3T"))


@pytest.mark.proves("reliability/host")
@pytest.mark.parametrize("text", [f"whsec_{base64.b64encode(bytes(range(24))).decode()}", "sixteen letters!"])
def test_byte_order_mark_is_no_part_of_the_secret(tmp_path: Path, text: str) -> None:
    """A secret that Windows' tools wrote signs as the same secret written elsewhere."""
    plain, marked = tmp_path / "plain", tmp_path / "marked"
    plain.write_text(text)
    marked.write_bytes(codecs.BOM_UTF8 + text.encode() + b"\r\n")
    assert read_secret(marked) == read_secret(plain)

"""An upstream that is unreachable or cannot prove its identity: nothing is trusted, published files stay."""

import asyncio
import codecs
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

import fakepypi
from mirror_contract import Run, RunState
from syncer.site import Site

HOST = "127.0.0.1"
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Whom the operator trusts."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """The operator's MIRROR_CA_FILE."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@asynccontextmanager
async def upstream(certificate: trustme.LeafCert, tmp_path: Path) -> AsyncIterator[tuple[fakepypi.FakePyPI, Site]]:
    """An index of one project over TLS, and a host that mirrors it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    async with fakepypi.serve(tls=context) as pypi:
        pypi.index.project("six").upload("1.0")
        site = Site(tmp_path, upstream=pypi.url)
        site.select("six")
        yield pypi, site


async def sync(site: Site, ca_file: Path) -> Run:
    """Sync once, trusting the operator's authority."""
    async with site.running(ca_file=ca_file) as running:
        return await running.sync()


@pytest.mark.proves("reliability/upstream")
async def test_operators_authority_is_trusted(authority: trustme.CA, ca_file: Path, tmp_path: Path) -> None:
    """An upstream with a certificate of the operator's own authority is mirrored like any other."""
    async with upstream(authority.issue_cert(HOST), tmp_path) as (_, site):
        run = await sync(site, ca_file)

    assert run.state is RunState.SUCCEEDED
    site.assert_whole()


@pytest.mark.proves("reliability/host")
@pytest.mark.parametrize("before", ["# Aussteller: Köln\n".encode("latin-1"), codecs.BOM_UTF8, b"subject=\xff\xfe\r\n"])
async def test_comments_beside_a_certificate_are_ignored(
    authority: trustme.CA, ca_file: Path, tmp_path: Path, before: bytes
) -> None:
    """Text outside the certificates in MIRROR_CA_FILE is ignored in any encoding (RFC 7468)."""
    await asyncio.to_thread(ca_file.write_bytes, before + authority.cert_pem.bytes().replace(b"\n", b"\r\n"))
    async with upstream(authority.issue_cert(HOST), tmp_path) as (_, site):
        assert (await sync(site, ca_file)).state is RunState.SUCCEEDED


@pytest.mark.proves("reliability/host")
async def test_authorities_leave_no_file_behind(
    authority: trustme.CA, ca_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MIRROR_CA_FILE leaves no temporary and no open file, however the process ends."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    async with upstream(authority.issue_cert(HOST), tmp_path) as (_, site):
        await sync(site, ca_file)
        before = open_memory_files()
        async with site.running(ca_file=ca_file) as running:
            assert (await running.sync()).state is RunState.SUCCEEDED
            assert list(temporary.iterdir()) == []
            assert open_memory_files() > before
    assert open_memory_files() == before


def open_memory_files() -> int:
    """Return how many files in memory this process holds open."""
    return sum("memfd:" in str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink())


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("wrong", ["authority", "name", "time"])
async def test_invalid_certificate_fails_the_run(
    authority: trustme.CA, ca_file: Path, tmp_path: Path, wrong: str
) -> None:
    """An untrusted or expired certificate, or another host's, fails the run with the reason; no page is requested."""
    certificate, words = {
        "authority": (trustme.CA().issue_cert(HOST), "certificate"),
        "name": (authority.issue_cert("127.0.0.9"), "127.0.0.1"),
        "time": (authority.issue_cert(HOST, not_after=YESTERDAY), "expired"),
    }[wrong]
    async with upstream(certificate, tmp_path) as (pypi, site):
        run = await sync(site, ca_file)

    assert run.state is RunState.FAILED
    assert "upstream does not answer" in (run.message or "")
    assert words in (run.message or "")
    assert len(pypi.log) == 0
    assert site.pages() == []


@pytest.mark.proves("reliability/upstream")
async def test_redirect_from_https_to_http_is_refused(authority: trustme.CA, ca_file: Path, tmp_path: Path) -> None:
    """A server requested over TLS cannot redirect to plain HTTP, not even on the same host."""
    async with upstream(authority.issue_cert(HOST), tmp_path) as (pypi, site):
        pypi.index.project("idna").upload("1.0")
        site.select("six", "idna")
        pypi.faults.on_page("six").redirect(f"{pypi.url.replace('https:', 'http:')}/simple/six/")
        run = await sync(site, ca_file)

    assert run.state is RunState.INCOMPLETE
    assert "redirects from https to 'http://" in run.failures[0].reason
    assert len(pypi.log.to("/simple/six/")) == 1
    assert site.pages() == ["idna"]


@pytest.mark.proves("reliability/upstream")
async def test_unresolvable_upstream_fails_the_run(tmp_path: Path) -> None:
    """An upstream whose name does not resolve fails the run, which names it; published files stay."""
    async with fakepypi.serve() as pypi:
        pypi.index.project("six").upload("1.0")
        before = Site(tmp_path, upstream=pypi.url)
        before.select("six")
        await before.sync()
    site = Site(tmp_path, upstream="http://pypi.invalid")  # RFC 6761: never resolves

    run = await site.sync()

    assert run.state is RunState.FAILED
    assert "pypi.invalid" in (run.message or "")
    assert site.pages() == ["six"]
    site.assert_whole()

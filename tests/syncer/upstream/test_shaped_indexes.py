"""Indexes that cannot run here, imitated by the form of their pages: PyTorch's and Pulp's."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mirror_contract import RunState
from mirror_syncer.config.settings import Settings
from syncer.site import Site
from syncer.wire import Wire, send, wire

CONTENT = b"content of a file" * 50
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


@pytest.fixture
async def raw() -> AsyncIterator[Wire]:
    """An upstream by the byte."""
    async with wire() as upstream:
        yield upstream


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Return an answer with a length."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]).encode() + body


@pytest.mark.proves("reliability/upstream")
async def test_index_like_pytorchs_is_mirrored(tmp_path: Path, raw: Wire) -> None:
    """
    PyTorch's index lies in a bucket, right below its URL, and says 403 to what it lacks.

    Its file names have local versions, its files may lie beside the index or on another host, and its pages have
    neither a title nor validators.
    """
    async with wire() as elsewhere:
        beside, away = "torch-2.9.1%2Bcpu-cp313-cp313-linux_x86_64.whl", "torch-2.8.0%2Bcpu-cp313-cp313-win_amd64.whl"
        page = (
            "<!DOCTYPE html>\n<html>\n  <body>\n    <h1>Links for torch</h1>\n"
            f'    <a href="/whl/cpu/{beside}#sha256={SHA256}">torch-2.9.1+cpu-cp313-cp313-linux_x86_64.whl</a><br/>\n'
            f'    <a href="{elsewhere.url}/whl/cpu/{away}#sha256={SHA256}">'
            "torch-2.8.0+cpu-cp313-cp313-win_amd64.whl</a><br/>\n  </body>\n</html>\n<!--TIMESTAMP 1767225600-->\n"
        ).encode()
        raw.answers["/whl/cpu/torch/"] = send(answer(page, "Content-Type: text/html"))
        denied = send(answer(b"<Error><Code>AccessDenied</Code></Error>", status="403 Forbidden"))
        for path in ("/whl/cpu/simple/torch/", "/whl/cpu/simple/torhc/", "/whl/cpu/torhc/"):
            raw.answers[path] = denied
        raw.answers[f"/whl/cpu/{beside}"] = elsewhere.answers[f"/whl/cpu/{away}"] = send(answer(CONTENT))
        site = Site(tmp_path, upstream=Settings(upstream=f"{raw.url}/whl/cpu").upstream)
        site.select("torch", "torhc")
        async with site.running(file_hosts=elsewhere.url.removeprefix("http://")) as running:
            first, second = await running.sync(), await running.sync()

    assert [failure.project for failure in first.failures] == ["torhc"]
    assert "403" in first.failures[0].reason
    assert (first.counts.files_fetched, second.counts.files_fetched) == (2, 0)
    assert site.filenames("torch") == {
        "torch-2.9.1+cpu-cp313-cp313-linux_x86_64.whl",
        "torch-2.8.0+cpu-cp313-cp313-win_amd64.whl",
    }
    site.assert_whole()


@pytest.mark.proves("reliability/upstream")
async def test_index_like_pulps_is_mirrored(tmp_path: Path, raw: Wire) -> None:
    """Pulp's index lies below a distribution's name, with files behind a redirect elsewhere on its host."""
    name = "alpha-1.0.tar.gz"
    page = (
        "<!DOCTYPE html>\n<html>\n  <head>\n    <title>Links for alpha</title>\n"
        '    <meta name="api-version" value="2" />\n'
        f'  </head>\n  <body>\n    <h1>Links for alpha</h1>\n    <a href="{raw.url}/pulp/content/team/{name}'
        f'#sha256={SHA256}" rel="internal" data-requires-python="&gt;=3.9">{name}</a><br/>\n  </body>\n</html>\n'
    ).encode()
    raw.answers["/pypi/team/simple/alpha/"] = send(
        answer(page, "Content-Type: text/html; charset=utf-8", "X-PyPI-Last-Serial: 1000000000")
    )
    moved = answer(b"", "Location: /pulp/artifacts/b1946ac9", status="302 Found")
    raw.answers[f"/pulp/content/team/{name}"] = send(moved)
    raw.answers["/pulp/artifacts/b1946ac9"] = send(answer(CONTENT, "Content-Type: application/octet-stream"))
    site = Site(tmp_path, upstream=Settings(upstream=f"{raw.url}/pypi/team/simple/").upstream)
    site.select("alpha")
    async with site.running() as running:
        first, second = await running.sync(), await running.sync()

    assert (first.state, second.state) == (RunState.SUCCEEDED, RunState.SUCCEEDED)
    assert (first.counts.files_fetched, second.counts.files_fetched) == (1, 0)
    assert site.published("alpha").files[name].requires_python == ">=3.9"
    site.assert_whole()


async def test_sha256_wins_over_other_digests(tmp_path: Path, raw: Wire) -> None:
    """If a page gives sha256 and md5, only the sha256 counts, and no unchecked digest is published."""
    name = "alpha-1.0.tar.gz"
    page = (
        f'{{"meta": {{"api-version": "1.0"}}, "name": "alpha", "files": [{{"filename": "{name}", "url": "/f/{name}", '
        f'"hashes": {{"md5": "{"0" * 32}", "sha256": "{SHA256}"}}}}]}}'
    ).encode()
    raw.answers["/simple/alpha/"] = send(answer(page, "Content-Type: application/vnd.pypi.simple.v1+json"))
    raw.answers[f"/f/{name}"] = send(answer(CONTENT))
    site = Site(tmp_path, upstream=raw.url)
    site.select("alpha")

    assert (await site.sync()).state is RunState.SUCCEEDED
    published = (site.web / "simple/alpha/index.v1_json").read_text()
    assert f'"hashes":{{"sha256":"{SHA256}"}}' in published
    assert MD5 not in published

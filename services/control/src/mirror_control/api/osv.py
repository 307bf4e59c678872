"""Advisories in OSV's format, for pip-audit and ``uv audit``; the syncer answers, and control passes it on."""

import asyncio
import re
from typing import Annotated, Final

from fastapi import APIRouter, HTTPException, Path, Request, Response
from starlette.types import Receive, Scope, Send

from mirror_control.access.auth import open_to_all
from mirror_control.api.dependencies import Syncer
from mirror_control.client.api_client import ApiClient

router = APIRouter(prefix="/osv/v1", dependencies=[open_to_all])

# Each may hold 64 KiB here and 4 MB in the syncer, while its client reads slowly.
MAX_ANSWERS: Final = 64
"""The most answers at a time."""
# uv requests all records of a batch at once; pip-audit gives up after 15 s.
_PATIENCE_SECONDS: Final = 10.0
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")


@router.post("/query")
async def query(syncer: Syncer, request: Request) -> Response:
    """Return the advisories that affect one version of a project."""
    return _Relay(syncer, "POST", "osv/v1/query", await request.body())


@router.post("/querybatch")
async def query_batch(syncer: Syncer, request: Request) -> Response:
    """Return the ids of the advisories that affect each of several versions."""
    return _Relay(syncer, "POST", "osv/v1/querybatch", await request.body())


@router.get("/vulns/{advisory}")
async def show(syncer: Syncer, advisory: Annotated[str, Path()]) -> Response:
    """Return one advisory."""
    if not _ID.fullmatch(advisory):
        raise HTTPException(404, "No advisory in force has this id.")
    return _Relay(syncer, "GET", f"osv/v1/vulns/{advisory}")


class _Relay(Response):
    """An answer of the syncer, passed on in parts as fast as the client reads them."""

    def __init__(self, syncer: ApiClient, method: str, path: str, body: bytes | None = None) -> None:
        super().__init__(media_type="application/json")
        del self.headers["content-length"]
        self._syncer = syncer
        self._call = method, path
        self._sent = body

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Send the syncer's answer; its refusals and failures become problems."""
        slots: asyncio.Semaphore = scope["app"].state.osv_slots
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await slots.acquire()
        except TimeoutError:
            detail = "Too many audits read advisories at once."
            raise HTTPException(429, detail, headers={"Retry-After": "1"}) from None
        try:
            async with self._syncer.stream(*self._call, body=self._sent) as parts:
                start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
                await send(start)
                async for part in parts:
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            slots.release()

"""What routes are given."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, NamedTuple, Protocol, cast

from fastapi import Depends, Request

from mirror_control.syncer_client import SyncerClient
from mirror_control.token import TokenFile
from mirror_control.ui.history import History


class Count(NamedTuple):
    """How often something was asked for."""

    name: str
    times: int


class DownloadCounts(Protocol):
    """What was downloaded, and what was asked for in vain; most first."""

    async def projects(self, *, since: date, top: int) -> Sequence[Count]:
        """Return the projects that were downloaded most."""

    async def versions(self, project: str, *, since: date, top: int) -> Sequence[Count]:
        """Return the versions of a project that were downloaded most."""

    async def misses(self, *, since: date, top: int) -> Sequence[Count]:
        """Return the projects that are not here and were asked for most."""


def _syncer(request: Request) -> SyncerClient:
    return cast("SyncerClient", request.app.state.syncer)


def _token(request: Request) -> TokenFile:
    return cast("TokenFile", request.app.state.token)


def _history(request: Request) -> History:
    return cast("History", request.app.state.history)


def _downloads(request: Request) -> DownloadCounts | None:
    return cast("DownloadCounts | None", request.app.state.downloads)


Syncer = Annotated[SyncerClient, Depends(_syncer)]
Token = Annotated[TokenFile, Depends(_token)]
SyncHistory = Annotated[History, Depends(_history)]
Downloads = Annotated[DownloadCounts | None, Depends(_downloads)]

"""What routes are given."""

from typing import Annotated, cast

from fastapi import Depends, Request

from mirror_control.syncer_client import SyncerClient
from mirror_control.token import TokenFile
from mirror_control.watching import Watches


def _syncer(request: Request) -> SyncerClient:
    return cast("SyncerClient", request.app.state.syncer)


def _token(request: Request) -> TokenFile:
    return cast("TokenFile", request.app.state.token)


def _watches(request: Request) -> Watches:
    return cast("Watches", request.app.state.watches)


Syncer = Annotated[SyncerClient, Depends(_syncer)]
Token = Annotated[TokenFile, Depends(_token)]
AllWatches = Annotated[Watches, Depends(_watches)]

"""What routes are given."""

from typing import Annotated, cast

from fastapi import Depends, Request

from mirror_control.syncer_client import SyncerClient
from mirror_control.token import TokenFile


def _syncer(request: Request) -> SyncerClient:
    return cast("SyncerClient", request.app.state.syncer)


def _token(request: Request) -> TokenFile:
    return cast("TokenFile", request.app.state.token)


Syncer = Annotated[SyncerClient, Depends(_syncer)]
Token = Annotated[TokenFile, Depends(_token)]

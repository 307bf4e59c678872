"""Dependencies that FastAPI injects into routes."""

from typing import Annotated, cast

from fastapi import Depends, Request

from mirror_control.access.named_tokens import Tokens
from mirror_control.downloads.intake import Intake
from mirror_control.downloads.statistics import Statistics
from mirror_control.syncer.history import SyncHistory
from mirror_control.syncer.last_answers import LastAnswers
from mirror_control.syncer.recent_changes import RecentChangesCache
from mirror_control.syncer.run_watch import RunWatches
from mirror_control.syncer.syncer_client import SyncerClient


def _syncer(request: Request) -> SyncerClient:
    return cast("SyncerClient", request.app.state.syncer)


def _tokens(request: Request) -> Tokens:
    return cast("Tokens", request.app.state.tokens)


def _history(request: Request) -> SyncHistory:
    return cast("SyncHistory", request.app.state.history)


def _recent_changes(request: Request) -> RecentChangesCache:
    return cast("RecentChangesCache", request.app.state.recent_changes_cache)


def _last_answers(request: Request) -> LastAnswers:
    return cast("LastAnswers", request.app.state.last_answers)


def _statistics(request: Request) -> Statistics:
    return cast("Statistics", request.app.state.statistics)


def _intake(request: Request) -> Intake:
    return cast("Intake", request.app.state.intake)


def _watches(request: Request) -> RunWatches:
    return cast("RunWatches", request.app.state.watches)


Syncer = Annotated[SyncerClient, Depends(_syncer)]
AllTokens = Annotated[Tokens, Depends(_tokens)]
FullSyncs = Annotated[SyncHistory, Depends(_history)]
CachedChanges = Annotated[RecentChangesCache, Depends(_recent_changes)]
Remembered = Annotated[LastAnswers, Depends(_last_answers)]
Counts = Annotated[Statistics, Depends(_statistics)]
AccessLogIntake = Annotated[Intake, Depends(_intake)]
AllWatches = Annotated[RunWatches, Depends(_watches)]

"""Requests for runs: validation and serialization."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from mirror_contract import Counts, Failure, Run, RunKind, RunRequest, RunState, Trigger


@pytest.mark.proves("security/tokens-and-secrets")
@pytest.mark.parametrize(
    "projects",
    [
        [""] * 10_000,
        ["/etc/x"] * 10_000,
        ["a b" * 100] * 3_000,
        [["six"]] * 10_000,
        [None] * 5_000,
        ["six"] * 9_000 + ["-"] * 1_000,
    ],
)
def test_reported_errors_are_limited(projects: list[object]) -> None:
    """Of a megabyte of invalid names, twenty are reported and the rest is not parsed."""
    with pytest.raises(ValidationError) as refused:
        RunRequest.model_validate({"kind": "sync", "projects": projects})
    assert refused.value.error_count() <= 21  # and that the others are none
    assert len(str(refused.value)) < 20_000


@pytest.mark.parametrize("projects", [[""] * 350_000, ["six"] * 200_000, [{}] * 10_001])
def test_too_many_names_are_one_error(projects: list[object]) -> None:
    """More names than a run may have are a single error."""
    with pytest.raises(ValidationError, match="at most 10000 items") as refused:
        RunRequest.model_validate({"kind": "sync", "projects": projects})
    assert refused.value.error_count() == 1


def test_too_many_options_are_one_error() -> None:
    """A hundred thousand unknown options are a single error."""
    many = {"kind": "sync", **{f"option-{number}": 1 for number in range(100_000)}}
    with pytest.raises(ValidationError, match="options are too many; valid options are kind, projects") as refused:
        RunRequest.model_validate(many)
    assert refused.value.error_count() == 1


def test_requests_with_other_spellings_are_equal() -> None:
    """Two requests that differ only in spelling are equal, so that the queued run is found."""
    one = RunRequest.model_validate({"kind": "sync", "projects": ["Zope.Interface", "six"]})
    other = RunRequest.model_validate({"kind": "sync", "projects": ["zope-interface", "SIX"]})
    assert one == other
    assert hash(one) == hash(other)
    assert one != RunRequest(kind=RunKind.SYNC)


@pytest.mark.parametrize(
    ("kind", "options", "named"),
    [
        ("verify", {"force": True}, "'force' is only valid for kind 'sync', not for 'verify'"),
        ("verify", {"allow_removals": 3}, "'allow_removals' is only valid for kind 'sync'"),
        ("collect", {"confirm": True}, "'confirm' is only valid for kind 'sync'"),
        ("sync", {"now": True}, "'now' is only valid for kind 'collect'"),
        ("sync", {"repair": True}, "'repair' is only valid for kind 'verify', not for 'sync'"),
        ("collect", {"projects": ["six"]}, "'projects' is only valid for kind 'sync' or 'verify'"),
        ("sync", {"projects": []}, "at least 1 item"),
        ("sync", {"projects": ["../etc"]}, "'../etc' is not a project name"),
        ("sync", {"projects": ["six"] * 10_001}, "at most 10000 items"),
        ("sync", {"allow_removals": -1}, "greater than or equal to 0"),
        ("sync", {"forced": True}, "Extra inputs are not permitted"),
        ("mirror", {}, "'sync', 'verify' or 'collect'"),
    ],
)
def test_invalid_request_is_refused(kind: str, options: dict[str, object], named: str) -> None:
    """An option of another kind, an unknown option or an invalid name is refused with a message that names it."""
    with pytest.raises(ValidationError, match=named):
        RunRequest.model_validate({"kind": kind, **options})


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("sync", {"force": True, "confirm": True, "allow_removals": 0}),
        ("verify", {"repair": True, "projects": ["six"]}),
        ("collect", {}),
        ("collect", {"now": True}),
    ],
)
def test_valid_request_survives_serialization(kind: str, options: dict[str, object]) -> None:
    """Each option is accepted with its own kind and survives serialization."""
    request = RunRequest.model_validate({"kind": kind, **options})
    assert RunRequest.model_validate_json(request.model_dump_json()) == request


def test_only_queued_and_running_are_not_final() -> None:
    """A run can only leave the states queued and running."""
    assert [state for state in RunState if not state.ended] == [RunState.QUEUED, RunState.RUNNING]


def test_run_survives_serialization() -> None:
    """A run written as JSON and read again is equal, time zones included."""
    run = Run(
        id="20261122T161233123-3fa9c1",
        request=RunRequest(kind=RunKind.SYNC, projects=("six",)),
        trigger=Trigger.API,
        state=RunState.INCOMPLETE,
        created_at=datetime(2026, 11, 22, 16, 12, 33, 123_000, tzinfo=UTC),
        counts=Counts(projects_planned=1, projects_failed=1),
        failures=[Failure(project="six", file="six-1.17.0.tar.gz", reason='"<no>" \0 ☃')],
    )
    assert Run.model_validate_json(run.model_dump_json()) == run

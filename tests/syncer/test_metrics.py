"""The syncer's metrics, read directly."""

import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

import fakepypi
from mirror_contract import RunState
from mirror_syncer.metrics import Metrics, Snapshot
from syncer.site import Running, Site


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Return all samples, by name and the values of their labels in the order of the labels' names."""
    return {
        (sample.name.removeprefix("pypi_mirror_"), *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }


def shown(running: Running) -> dict[tuple[str, ...], float]:
    """Return a running mirror's samples."""
    return samples(running.mirror.metrics)


async def test_run_duration_is_shown_by_phase(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A full sync shows its duration and each phase's; a sync of named projects is only counted."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    async with site.running() as running:
        await running.sync("six")
        named = shown(running)
        await running.sync(force=True)
        whole = shown(running)

    phases = ("plan", "withdraw", "transfer", "publish", "collect")
    assert [named["run_phase_seconds", "sync", phase] for phase in phases] == [0] * 5
    assert named["run_duration_seconds", "sync"] == 0
    assert named["runs_total", "sync", "succeeded"] == 1
    took = [whole["run_phase_seconds", "sync", phase] for phase in phases]
    assert all(seconds > 0 for seconds in took)
    assert sum(took) <= whole["run_duration_seconds", "sync"]


async def test_incomplete_sync_counts_as_completed_without_success(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A sync with a project that upstream lacks counts as completed, but not as a success."""
    pypi.index.project("six").upload("1.0")
    site.select("six", "no-such-project")
    before = time.time()
    async with site.running() as running:
        run = await running.sync()
        after = shown(running)

    assert run.state is RunState.INCOMPLETE
    assert after["last_success_timestamp_seconds", "sync"] == 0
    assert after["last_completion_timestamp_seconds", "sync"] >= before
    assert after["last_attempt_timestamp_seconds", "sync"] == after["last_completion_timestamp_seconds", "sync"]


async def test_timestamps_survive_a_restart(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """After a restart the metrics still show when a sync last succeeded, however many failed since."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    async with site.running() as running:
        await running.sync()
        succeeded = shown(running)["last_success_timestamp_seconds", "sync"]
        site.select("six", "no-such-project")
        for _ in range(21):
            await running.sync()
        before = shown(running)
    async with site.running() as running:
        after = shown(running)

    names = [f"last_{event}_timestamp_seconds" for event in ("success", "completion", "attempt")]
    assert [after[name, "sync"] for name in names] == [before[name, "sync"] for name in names]
    assert (
        after["last_success_timestamp_seconds", "sync"] == succeeded < after["last_attempt_timestamp_seconds", "sync"]
    )


async def test_missing_volume_hides_only_its_size(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """If the volume is missing, its size is absent and all other metrics are still shown."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    async with site.running() as running:
        await running.sync()
        site.data.rename(site.data.with_name("unmounted"))
        try:
            gone = shown(running)
        finally:
            site.data.with_name("unmounted").rename(site.data)

    assert gone["projects", "current"] == 1
    assert ("volume_size_bytes",) not in gone


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        ("200", "2xx"),
        ("206", "2xx"),
        ("301", "3xx"),
        ("304", "304"),
        ("404", "404"),
        ("429", "4xx"),
        ("599", "5xx"),
        ("600", "5xx"),
        ("100", "5xx"),
        ("timeout", "timeout"),
    ],
)
def test_http_status_adds_no_series(outcome: str, code: str) -> None:
    """No HTTP status from upstream adds a series that did not exist from the start."""
    metrics = Metrics(version="1", snapshot=Snapshot)
    before = samples(metrics)
    metrics.observe_request("page", outcome, 0.1)
    metrics.count_retry(outcome)
    after = samples(metrics)

    assert after.keys() == before.keys()
    assert after["upstream_requests_total", code, "page"] == 1

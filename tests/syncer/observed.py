"""The state of a mirror as control requests and shows it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from mirror_contract import Status
from mirror_control.client.health import HealthVerdict, assess_health
from mirror_syncer.config.crontab import crontab
from mirror_syncer.service.status import StatusReader
from mirror_syncer.service.timetable import Timetable
from syncer.site import Running


@dataclass(frozen=True)
class Observed:
    """A status, and the lines that a person reads about it."""

    observer: StatusReader
    status: Status
    verdict: HealthVerdict


def observe(running: Running) -> Observed:
    """Request a mirror's state as control does, on a volume with room, whatever this machine has."""
    timetable = Timetable(crontab("*/30 * * * *", time_zone="UTC"), sync=lambda: None, paused=False)
    observer = StatusReader(running.mirror, timetable)
    status = observer.status()
    assert status.disk is not None
    status.disk.free_bytes = status.disk.size_bytes
    return Observed(observer, status, assess_health(status, now=datetime.now(UTC)))

"""What a mirror tells of itself, as control asks for it and shows it."""

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
    """A status, and what a person is told of it."""

    observer: StatusReader
    status: Status
    verdict: HealthVerdict


def observe(running: Running) -> Observed:
    """Look at a mirror as control does."""
    timetable = Timetable(crontab("*/30 * * * *", time_zone="UTC"), sync=lambda: None, paused=False)
    observer = StatusReader(running.mirror, timetable)
    status = observer.status()
    return Observed(observer, status, assess_health(status, now=datetime.now(UTC)))

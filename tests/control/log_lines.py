"""Lines of nginx's access log."""

import json
from datetime import UTC, datetime
from pathlib import Path

WHEEL = "/packages/ab/requests-2.32.3-py3-none-any.whl"
PIP = 'pip/25.1 {"ci":null,"python":"3.13.5"}'


def line(uri: str = WHEEL, **told: object) -> bytes:
    """Return a request for a wheel by pip that was answered, but for what is told otherwise."""
    told = {
        "time": "2026-11-22T16:12:33+00:00",
        "client": "10.0.0.7",
        "method": "GET",
        "uri": uri,
        "route": "package",
        "status": "200",
        "bytes": 64928,
        "seconds": 0.012,
        "range": "",
        "agent": PIP,
        "python": "3.13",
    } | told
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"


def minute_file(directory: Path, moment: datetime | None = None) -> Path:
    """Return where nginx writes what is logged at a moment: now, if none is told."""
    directory.mkdir(exist_ok=True)
    return directory / f"access-{moment or datetime.now(UTC):%Y-%m-%dT%H%M}.jsonl"

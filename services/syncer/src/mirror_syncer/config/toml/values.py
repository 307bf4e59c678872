"""Values as messages show them; without pydantic, since a worker process needs it."""

import json
from datetime import date, time

_MAX_SHOWN = 80  # characters of a wrong value


def shown(value: object) -> str:
    """Return a value much as TOML writes it, and not too long."""
    if isinstance(value, (date, time)):
        return value.isoformat()
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"

"""Validators for conditional requests (RFC 9110, 13.1): the ETag and the date of the last response."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

# RFC 9110 5.5: no control characters, which would break the header line of the next request. PyPI's ETags have 24
# characters; one of 8 kB would make upstream refuse every later request.
_VALIDATOR = re.compile(r"[\x20-\x7e]{1,512}")


@dataclass(frozen=True, slots=True)
class Validators:
    """The validators of a response. PyPI sends strong ETags, static mirrors both, some servers neither."""

    etag: str | None = None
    last_modified: str | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Self:
        """Return the validators of a response, without values unsafe to send back."""
        values = (headers.get(key, "") for key in ("etag", "last-modified"))
        return cls(*(value if _VALIDATOR.fullmatch(value) else None for value in values))

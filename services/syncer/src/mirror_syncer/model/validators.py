"""What makes a request conditional (RFC 9110, 13.1): the ETag and the date of the last answer."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

# RFC 9110 5.5: no control characters, which would end the line that it is sent back in. PyPI's ETags have 24
# characters; 8 kB of them upstream itself would refuse, now and ever after.
_VALIDATOR = re.compile(r"[\x20-\x7e]{1,512}")


@dataclass(frozen=True, slots=True)
class Validators:
    """What makes the next request conditional. PyPI sends strong ETags, static mirrors both, some neither."""

    etag: str | None = None
    last_modified: str | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Self:
        """Return the validators of an answer, without what must not be sent back."""
        said = (headers.get(key, "") for key in ("etag", "last-modified"))
        return cls(*(value if _VALIDATOR.fullmatch(value) else None for value in said))

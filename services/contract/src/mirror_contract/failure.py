"""Failures of a run."""

from dataclasses import dataclass
from typing import ClassVar

_MAX_REASON_CHARS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One failure of a run, and the project or file that it affects."""

    # No pydantic model, since a worker process makes failures; pydantic takes the descriptions from below the fields.
    __pydantic_config__: ClassVar = {"use_attribute_docstrings": True}

    project: str | None = None
    """Normalized name; absent if the whole run is affected."""
    file: str | None = None
    """Present if only this file failed."""
    reason: str
    """At most 1,000 characters."""

    def __post_init__(self) -> None:
        """Cut the reason short: a redirect of upstream's may have 100 kB."""
        object.__setattr__(self, "reason", self.reason[:_MAX_REASON_CHARS])

    def facts(self) -> dict[str, str]:
        """Return what is known, by name."""
        known = {"project": self.project, "file": self.file, "reason": self.reason}
        return {name: value for name, value in known.items() if value is not None}


def cause(reason: str) -> str:
    """Return a reason without what differs among projects: paths, quoted words, and numbers except statuses."""
    words, before = list[str](), ""
    for word in reason.split():
        if "://" in word:
            scheme, _, rest = word.partition("://")
            words.append(f"{scheme}://{rest.partition('/')[0]}/…")
        elif before != "answered" and (word[0] in "'\"" or any(map(str.isdigit, word))):
            words.append("…")
        else:
            words.append(word)
        before = word
    return " ".join(words)

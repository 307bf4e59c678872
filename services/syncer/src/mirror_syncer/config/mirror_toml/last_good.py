"""The last good policy, kept in the state directory across restarts."""

import os
from pathlib import Path

from pydantic import BaseModel, ValidationError

from mirror_syncer.config.mirror_toml.tables import parse_policy
from mirror_syncer.config.toml.document import DocumentError

_NAME = "policy.json"


class LastGood(BaseModel):
    """
    A policy that was in force.

    Attributes:
        path: of its file.
        starter: whether it was the shipped example's.
        text: the file's content.
        starter_projects: names of the example's policies and what these need, as long as no policy of the operator's
            has named them.
    """

    path: str
    starter: bool
    text: str
    starter_projects: frozenset[str]


class LastGoodStore:
    """Keeps one policy in a directory."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / _NAME

    def keep(self, last: LastGood) -> None:
        """
        Keep a policy instead of the one before; it is whole or not there, whenever the process dies.

        Raises:
            OSError: the disk refuses.
        """
        content = last.model_dump_json().encode()
        if self.path.exists() and self.path.read_bytes() == content:  # which may be no text
            return
        temporary = self.path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)

    def recall(self) -> LastGood | None:
        """Return the policy that is kept; None where there is none, or this version cannot use it."""
        try:
            last = LastGood.model_validate_json(self.path.read_bytes())
            parse_policy(last.text.encode())
        except (OSError, ValidationError, DocumentError):
            return None
        return last

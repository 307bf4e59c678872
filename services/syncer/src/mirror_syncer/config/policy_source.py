"""The policy in force."""

import hashlib
from pathlib import Path

from mirror_syncer.config.policy import PAGE_FORMAT, Policy, read_policy
from mirror_syncer.errors import ConfigurationError


class PolicySource:
    """
    ``mirror.toml``, read at the start and again before each whole sync.

    Raises:
        ConfigurationError: at the start, or by ``reload``, which then leaves the policy in force as it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.current: Policy = read_policy(path)

    def reload(self) -> None:
        """Put into force what the file says now."""
        self.current = read_policy(self._path)

    def on_disk(self) -> Policy:
        """Return what the file says now, which the next sync puts into force; where it is wrong, what is in force."""
        try:
            return read_policy(self._path)
        except ConfigurationError:
            return self.current

    @property
    def digest(self) -> str:
        """Return what changes when the policy in force does, or the form of what is published by it."""
        return hashlib.sha256(repr((PAGE_FORMAT, self.current)).encode()).hexdigest()

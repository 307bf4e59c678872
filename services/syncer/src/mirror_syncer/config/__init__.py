"""
What the operator decides: settings (``.env``) and the policy (``mirror.toml``).

Read ``policy`` first: it parses ``mirror.toml``. ``selection`` judges which files of a project are wanted.
``settings`` parses the environment, with ``crontab`` for schedules and ``listen`` for the private API's address.
``policy_source`` reads the file again when a run starts.
"""

from mirror_syncer.config.policy import Policy, Removal, Scope, Serve, fingerprint, is_this_format, read_policy
from mirror_syncer.config.policy_source import PolicySource
from mirror_syncer.config.selection import SelectedFiles, Selection

__all__ = [
    "Policy",
    "PolicySource",
    "Removal",
    "Scope",
    "SelectedFiles",
    "Selection",
    "Serve",
    "fingerprint",
    "is_this_format",
    "read_policy",
]

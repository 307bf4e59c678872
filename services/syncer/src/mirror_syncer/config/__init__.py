"""
What the operator decides: settings (``.env``) and the policy (``mirror.toml``).

Read ``policy`` first: it parses ``mirror.toml``. ``decision`` says what happens to each file of a project, by
``selection`` (what ``mirror.toml`` selects), ``older_pages`` (what an older page may change) and ``contradictions``
(a page that names a file twice). ``settings`` parses the environment, with ``crontab`` for schedules and ``listen`` for
the private API's address. ``policy_source`` reads the file again when a run starts.
"""

from mirror_syncer.config.contradictions import settle_contradictions
from mirror_syncer.config.decision import Condition, decide, decide_removal
from mirror_syncer.config.policy import Policy, Removal, Scope, Serve, fingerprint, is_this_format, read_policy
from mirror_syncer.config.policy_source import PolicySource
from mirror_syncer.config.selection import SelectedFiles, Selection

__all__ = [
    "Condition",
    "Policy",
    "PolicySource",
    "Removal",
    "Scope",
    "SelectedFiles",
    "Selection",
    "Serve",
    "decide",
    "decide_removal",
    "fingerprint",
    "is_this_format",
    "read_policy",
    "settle_contradictions",
]

"""What may enter the mirror, and which of it is wanted."""

from mirror_syncer.policy.document import Policy, Removal, Scope, Serve, fingerprint, read_policy
from mirror_syncer.policy.selection import Selection, Verdict, parse_version, version_of
from mirror_syncer.policy.source import PolicySource

__all__ = [
    "Policy",
    "PolicySource",
    "Removal",
    "Scope",
    "Selection",
    "Serve",
    "Verdict",
    "fingerprint",
    "parse_version",
    "read_policy",
    "version_of",
]

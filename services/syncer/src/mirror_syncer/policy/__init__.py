"""What may enter the mirror, and which of it is wanted."""

from mirror_syncer.policy.document import Policy, Removal, Scope, Serve, fingerprint, is_this_format, read_policy
from mirror_syncer.policy.releases import parse_version, version_of
from mirror_syncer.policy.selection import Selection, Verdict
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
    "is_this_format",
    "parse_version",
    "read_policy",
    "version_of",
]

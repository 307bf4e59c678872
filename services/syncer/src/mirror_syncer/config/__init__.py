"""
The operator's decisions: settings (``.env``) and the policy (``mirror.toml``).

Read ``policy`` first: what it says. ``mirror_toml`` reads it and keeps it in force, with ``locks`` and ``advisories``
as its inputs. ``judgement`` says by it what happens to each file of a project, with ``machines`` for what can install
a file. ``settings`` parses the environment, with ``crontab`` for schedules, ``listen`` for the private API's address
and ``environment`` for misspelt and foreign variables. ``toml`` reads TOML with the line of each mistake.

The names here are those that a worker process needs; ``mirror_toml`` and ``settings`` need pydantic, which takes 11 MB.
"""

from mirror_syncer.config.judgement.contradictions import settle_contradictions
from mirror_syncer.config.judgement.judgement import Condition, decide, decide_removal
from mirror_syncer.config.policy.age import Age, Exemption, format_duration, format_moment
from mirror_syncer.config.policy.block import Block, blocked_hashes
from mirror_syncer.config.policy.fingerprints import Fingerprints
from mirror_syncer.config.policy.policy import Policy, Removal, Scope, Serve
from mirror_syncer.config.policy.project_policy import ProjectPolicy, Rules, fingerprint, is_this_format, stable_text
from mirror_syncer.config.policy.selection import Selection, VersionRule

__all__ = [
    "Age",
    "Block",
    "Condition",
    "Exemption",
    "Fingerprints",
    "Policy",
    "ProjectPolicy",
    "Removal",
    "Rules",
    "Scope",
    "Selection",
    "Serve",
    "VersionRule",
    "blocked_hashes",
    "decide",
    "decide_removal",
    "fingerprint",
    "format_duration",
    "format_moment",
    "is_this_format",
    "settle_contradictions",
    "stable_text",
]

"""
The operator's decisions: settings (``.env``) and the policy (``mirror.toml``).

Read ``policy`` first: what it says. ``policy_tables`` is ``mirror.toml`` as pydantic models, read by
``toml_document``, which names the line of each mistake by ``toml_lines``. ``policy_file`` finds and reads the file,
and ``policy_source`` holds the policy in force. ``judgement`` says what happens to each file of a project, by
``selection`` (what ``mirror.toml`` selects), ``older_pages`` (what an older page may change), ``contradictions``
(a page that names a file twice) and ``emptied_pages`` (a page of which nothing would be left). ``fingerprints`` tell
which projects another policy concerns. ``policy_warnings`` finds rules that contradict each other. ``compatibility``
says which ``machines`` a file fits, by their ``pythons`` and ``platforms``, by ``requires_python``, and of eggs and
installers by ``legacy_formats``. ``settings`` parses the environment, with ``crontab`` for schedules, ``listen`` for
the private API's address and ``environment`` for misspelt and foreign variables.
"""

from mirror_syncer.config.age import Age, Exemption, format_duration, format_moment
from mirror_syncer.config.block import Block, blocked_hashes
from mirror_syncer.config.contradictions import settle_contradictions
from mirror_syncer.config.fingerprints import Fingerprints
from mirror_syncer.config.judgement import Condition, decide, decide_removal
from mirror_syncer.config.policy import Policy, Removal, Scope, Serve
from mirror_syncer.config.policy_file import PolicyError, choose_file, judge_policy, read_file, read_policy
from mirror_syncer.config.policy_source import PolicySource
from mirror_syncer.config.project_policy import ProjectPolicy, Rules, fingerprint, is_this_format, stable_text
from mirror_syncer.config.selection import Selection, VersionRule

__all__ = [
    "Age",
    "Block",
    "Condition",
    "Exemption",
    "Fingerprints",
    "Policy",
    "PolicyError",
    "PolicySource",
    "ProjectPolicy",
    "Removal",
    "Rules",
    "Scope",
    "Selection",
    "Serve",
    "VersionRule",
    "blocked_hashes",
    "choose_file",
    "decide",
    "decide_removal",
    "fingerprint",
    "format_duration",
    "format_moment",
    "is_this_format",
    "judge_policy",
    "read_file",
    "read_policy",
    "settle_contradictions",
    "stable_text",
]

"""
A sync: of the selection, or of the whole index.

Read ``sync`` first: it applies the current policy and chooses between the two. ``plan`` decides, from policy and
catalog alone, what a sync of the selection does, and ``selection`` does it. ``whole_index`` syncs all that upstream
lists: ``upstream_list`` reads the list, ``removals`` handles what left it, ``due_feed`` feeds the projects that are
due. ``guard`` limits removals per day, also of projects that rules would empty (``emptied_projects``).
``closure_step`` brings what the selection needs: ``closure_in_force`` resolves it, and ``unmet_report`` says what is
missing. ``candidate_closure`` resolves that of a candidate for ``mirror.toml``, by what is stored here.
``policy_change`` applies new rules at once, ``policy_check`` judges a candidate for ``mirror.toml``, and
``policy_preview`` says what that would change. In the ``background``, ``recheck`` visits each project weekly, and
``maturity`` publishes held files when their time has come.
"""

from mirror_syncer.runs.sync.sync import Sync

__all__ = ["Sync"]

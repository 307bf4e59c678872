"""
The import of what an application requires: requirements become lines of ``mirror.toml``, a lock goes to ``locks/``.

Read ``importing`` first. ``file_kind`` recognizes the file that ``input_file`` read. ``requirements_file``,
``pyproject`` (with ``poetry_tables`` and ``poetry_constraint``) and ``conda_environment`` collect its requirements in
``findings``; ``lock_copy`` copies a lock. ``policy_file`` is ``mirror.toml`` before and after, and ``policy_edit``
adds lines to it. ``required_file`` reads the same files for a check.
"""

from mirror_syncer.commands.importing.importing import ImportOptions, ImportResult, import_into

__all__ = ["ImportOptions", "ImportResult", "import_into"]

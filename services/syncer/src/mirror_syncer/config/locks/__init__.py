"""
The locks of ``[dependencies] locks``: what they pin stays on the mirror, whatever ``latest`` says.

Read ``pin`` first, then ``lock_source``: the locks in force. ``patterns`` finds the files, ``lock_file`` reads them and
``last_good`` keeps what they said. ``formats`` recognizes uv_lock, poetry_lock, pylock, pipfile_lock and requirements
(whose syntax is in ``requirement_lines``); each of these gives its entries to a ``collector``, which checks them, and
leaves out those from another index (``lock_index``).
Nothing here asks a URL that a lock names.
"""

from mirror_syncer.config.locks.pin import Pin, merge_pins
from mirror_syncer.config.locks.problem import LockProblem

__all__ = ["LockProblem", "Pin", "merge_pins"]

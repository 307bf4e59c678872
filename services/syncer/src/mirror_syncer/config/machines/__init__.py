"""
The machines that install from the mirror, and which files fit them.

Read ``machines`` first: the table ``[machines]``, made of ``pythons`` and ``platforms``. ``compatibility`` says which
of them a file fits, by its tags and by ``requires_python``, and of eggs and installers by ``legacy_formats``.
``listing`` names machines in a sentence.
"""

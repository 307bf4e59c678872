"""
The judgement of a project's files: what is published, held, blocked, left out, or leaves. Pure functions, no I/O.

Read ``judgement`` first: ``decide``, the only place that says what happens to a file. ``screening`` divides a page by
the policy: ``cooldown`` says what is too young, ``newest`` which of the ``release`` objects are the newest.
``older_pages``, ``contradictions`` and ``emptied_pages`` judge pages that say less than the last one, two things about
one file, or nothing that the policy wants.
"""

"""
The judgement of a project's files: what is published, held, blocked, left out, or leaves. Pure functions, no I/O.

Read ``judgement`` first: ``decide``, the only place that says what happens to a file. ``screening`` divides a page by
the policy. Its parts: ``admission`` applies the rules that come before versions (``cooldown`` says what is too young);
``fitting`` says which clients can install a ``release``; ``version_choice`` is what a line or a demand chooses
(``newest`` says which releases are the newest); ``project_size`` bounds the whole. ``candidates`` are both for many
questions about one page, which the dependency closure asks; ``absence`` explains why a page has nothing for a
requirement. ``older_pages``, ``contradictions`` and ``emptied_pages`` judge pages that say less than the last one, two
things about one file, or nothing that the policy wants.
"""

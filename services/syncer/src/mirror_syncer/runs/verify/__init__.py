"""
A verify: hash what is published, and find files that no page names.

Read ``verifier`` first: it has each project inspected in slices, resumes after a restart, and counts the damage.
``references`` records which files pages name, in 256 partitions on disk; ``orphans`` reports and retires the others.
"""

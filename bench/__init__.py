"""
Benchmarks against bandersnatch: the same corpus, upstream, container and Python, in one run.

``bench/run`` starts it; nothing here is part of the mirror.
"""

"""
The domain's value types; they do no I/O and import no other room.

Read ``page`` first (a project's page and its files), then ``project`` (the catalog's data on a project) and ``names``
(file names, digests and places, parsed into types that are always valid). ``serials`` judges which of upstream's
serials to trust. ``wheel`` and ``sdist`` read what an archive says about itself; ``zip_directory`` finds it in one that
is in memory. What it requires is first text (``requirement_lines``), then values (``need``).
"""

"""
The domain's words, as values: they do no I/O and know no other room.

Read ``page`` first (a project's page and its files), then ``project`` (what the catalog keeps of a project) and
``names`` (file names, digests and places, parsed into types that cannot be wrong). ``serials`` judges how far
upstream's serials are believed.
"""

"""The list of changes for edges, in a bucket: an object that is written again with each addition; see ``changes``."""

import time
from collections.abc import Iterable
from threading import Lock

from mirror_syncer.volume.bucket.store import ObjectStore
from mirror_syncer.volume.changes import NAME, current_lines, format_lines, is_list, new_head

KEY = f"pypi/{NAME}"
# The object is sent whole with each addition, so that a long list would cost more than what it saves edges. Some 25,000
# lines; the newest half of a longer list stays.
MAX_BYTES = 2 << 20


class BucketChanges:
    """The list of a tree; one process writes it, in any thread."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._guard = Lock()
        self._body: bytes | None = None

    def add(self, paths: Iterable[str]) -> None:
        """Add a line for each path below ``web``; a name that no URL can have gets none."""
        if not (lines := format_lines(paths, now=int(time.time()))):
            return
        with self._guard:
            self._write(self._read() + lines)

    def trim(self) -> None:
        """Drop outdated lines if they are the greater part; replace a damaged list."""
        with self._guard:
            body = self._read()
            lines = body.splitlines()[1:]
            if body != self._body or 2 * len(list(current_lines(lines))) < len(lines):
                self._write(new_head() + b"".join(line + b"\n" for line in current_lines(lines)))

    def _read(self) -> bytes:
        if self._body is None:
            self._body = self._store.get(KEY)
        return self._body if self._body is not None and is_list(self._body) else new_head()

    def _write(self, body: bytes) -> None:
        if len(body) > MAX_BYTES:
            kept = list(current_lines(body.splitlines()[1:]))
            while sum(len(line) + 1 for line in kept) > MAX_BYTES // 2:
                del kept[: max(1, len(kept) // 10)]
            body = new_head() + b"".join(line + b"\n" for line in kept)
        self._body = None  # if this fails, nobody knows what is there
        self._store.replace(KEY, body)
        self._body = body

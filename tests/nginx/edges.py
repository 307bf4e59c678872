"""An edge's origin with a tree of its own, and what both report."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mirror_syncer.volume import Volume
from nginx.containers import LOGS, Container, mirror
from nginx.tree import PUBLISHED, Tree, plant

JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}
REASON = "blocked: MAL-2026-1, malware"


@dataclass(frozen=True)
class Origin:
    """A mirror with its tree."""

    container: Container
    tree: Tree
    volume: Volume

    def requests(self, path: str) -> list[dict[str, str]]:
        """Return the logged requests of a path."""
        lines = self.container.run("sh", "-c", "find /logs -name '*.jsonl' -exec cat {} +").splitlines()
        return [line for line in map(json.loads, lines) if line["uri"] == path]


@contextmanager
def origin(image: str, network: str, root: Path, *options: str, mtime: int = PUBLISHED) -> Iterator[Origin]:
    """Run a mirror over a tree of its own."""
    tree = plant(root)
    for directory, _, files in os.walk(tree.root):
        for file in files:
            os.utime(f"{directory}/{file}", (mtime, mtime))
    with (
        Volume(tree.root, mirror_id="secret", known=True) as volume,
        mirror(image, tree.root, LOGS, f"--network={network}", *options) as container,
    ):
        yield Origin(container, tree, volume)


def until(condition: Callable[[], bool], *, seconds: float = 90) -> None:
    """Return once a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def state(container: Container) -> dict[str, object]:
    """Return what an edge reports to control."""
    found: dict[str, object] = json.loads(container.run("cat", "/logs/edge.json"))
    return found

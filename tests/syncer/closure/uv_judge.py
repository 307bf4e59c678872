"""uv as a judge: whether it finds releases for lines, with nothing but a folder of wheels in reach."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_UV = Path(sys.executable).with_name("uv")


def uv_resolves(folder: Path, lines: Sequence[str], *options: str) -> bool:
    """Return whether uv finds releases for lines in a folder."""
    return chosen_by_uv(folder, lines, *options) is not None


def chosen_by_uv(folder: Path, lines: Sequence[str], *options: str) -> list[str] | None:
    """Return the releases that uv finds for lines in a folder, as in "foo==1.0"; None: there are none."""
    reach = [
        "--no-index",
        "--find-links",
        str(folder),
        "--no-config",
        "--offline",
        "--cache-dir",
        str(folder / "cache"),
    ]
    outcome = subprocess.run(
        [_UV, "pip", "compile", "--no-annotate", "--no-header", *reach, *options, "-"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )
    assert outcome.returncode == 0 or "No solution found" in outcome.stderr, outcome.stderr
    return outcome.stdout.split() if outcome.returncode == 0 else None

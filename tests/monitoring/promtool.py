"""promtool, from the image of the stack's Prometheus."""

import re
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PROMETHEUS = REPOSITORY / "monitoring" / "prometheus"


def image() -> str:
    """Return the image that the stack's Prometheus is built on."""
    named = re.search(r"^FROM (prom/prometheus:\S+)", (PROMETHEUS / "Dockerfile").read_text(), re.MULTILINE)
    assert named
    return named[1]


def promtool(*arguments: str, stdin: str | None = None, directory: Path = PROMETHEUS) -> tuple[int, str]:
    """Run promtool where the configuration is what the stack's Prometheus sees; return its status and what it says."""
    options = ("--rm", "--interactive", "--network=none", "--entrypoint=/bin/promtool", "--workdir=/etc/prometheus")
    mounted = f"--volume={directory}:/etc/prometheus:ro"
    command = ("docker", "run", *options, mounted, image(), *arguments)
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr

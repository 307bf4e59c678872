"""The container that mounts and breaks disks made of its own files."""

import json
from typing import Any

from nginx.containers import REPOSITORY, docker, run_to_end


def build() -> str:
    """Return the image, built from this checkout."""
    syncer, image = "pypi-mirror-test-disks-syncer", "pypi-mirror-test-disks"
    dockerfile = REPOSITORY / "services/syncer/Dockerfile"
    docker("build", "--quiet", f"--file={dockerfile}", f"--tag={syncer}", str(REPOSITORY))
    tests = REPOSITORY / "tests"
    base = f"--build-arg=SYNCER={syncer}"
    docker("build", "--quiet", f"--file={tests}/disks/Dockerfile", base, f"--tag={image}", str(tests))
    return image


def run(image: str, module: str, *options: str) -> dict[str, Any]:
    """Run one of this folder's modules to its end; return the JSON in its last line."""
    rights = ("--init", "--privileged", "--user=0", "--network=none", "--volume=/dev:/dev")
    output = run_to_end(image, *rights, "--tmpfs=/disks:size=1g", command=("-m", module, *options))
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result

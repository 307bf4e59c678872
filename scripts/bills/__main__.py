"""``scripts/sbom``: a bill of materials for each image that compose.yaml builds, and a list of their licences."""

import argparse
import json
import subprocess
import sys
import tomllib
from pathlib import Path

from bills import document, licences
from bills.image import read_image

REPOSITORY = Path(__file__).parents[2]


def images(project: str) -> dict[str, str]:
    """Return the image of each service that compose.yaml builds, profiles included, by the service's name."""
    command = ("docker", "compose", "--env-file=/dev/null", "--profile=*", "config", "--format=json")
    output = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, check=True).stdout  # noqa: S603 - constant arguments
    services = json.loads(output)["services"]
    return {name: one.get("image", f"{project}-{name}") for name, one in services.items() if "build" in one}


def main() -> int:
    """Write the documents; return 1 if the licence of a Python package is not allowed."""
    parser = argparse.ArgumentParser(prog="scripts/sbom", description=__doc__)
    parser.add_argument("--project", default="pypi-mirror", help="name of the compose project whose images are read")
    parser.add_argument("--to", type=Path, default=REPOSITORY / "build/sbom", metavar="DIRECTORY")
    options = parser.parse_args()
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    options.to.mkdir(parents=True, exist_ok=True)
    try:
        contents = {image: read_image(image) for image in images(options.project).values()}
    except subprocess.CalledProcessError:
        sys.stderr.write("scripts/sbom: an image is missing; run docker compose build\n")
        return 2
    for image, packages in contents.items():
        (options.to / f"{image}.cdx.json").write_text(document.cyclonedx(image, packages, version=version))
    (options.to / "licences.md").write_text(document.table(contents))
    refused = {
        f"{one.name} {one.version}: {one.licence or 'no licence given'}"
        for packages in contents.values()
        for one in packages
        if one.kind == "pypi" and not licences.is_allowed(one.licence)
    }
    for line in sorted(refused):
        sys.stderr.write(f"scripts/sbom: licence not allowed (see scripts/bills/licences.py): {line}\n")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())

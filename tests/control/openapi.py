"""The OpenAPI document as a file; ``scripts/openapi`` runs this."""

import json
import sys
import tempfile
from pathlib import Path

from mirror_control.server.application import create_app
from mirror_control.settings import Settings

FILE = Path(__file__).parents[2] / "docs" / "openapi.json"


def text() -> str:
    """Return what the file should say."""
    with tempfile.TemporaryDirectory() as state:
        document = create_app(Settings(control_state=Path(state))).openapi()
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"{FILE}\n")

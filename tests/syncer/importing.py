"""The command ``mirror-syncer import``, run beside a directory with a ``mirror.toml``."""

from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from mirror_syncer.commands.cli import app

POLICY = """\
# What we mirror.
[mirror]
projects = [
  "requests", # for everybody
  "Django>=4.2,<5",
]
latest = 3 # of each line

[removal]
grace = "48h"
"""


@dataclass(frozen=True)
class Done:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


class Import:
    """
    The command, and the directory of mirror.toml.

    Attributes:
        config: the directory of mirror.toml.
        source: a directory for the imported files.
    """

    def __init__(self, directory: Path) -> None:
        self.config, self.source = directory / "config", directory / "source"
        self.config.mkdir()
        self.source.mkdir()
        self.write_policy(POLICY)

    @property
    def policy(self) -> str:
        """What mirror.toml has, with its line ends."""
        return (self.config / "mirror.toml").read_bytes().decode()

    def write_policy(self, text: str) -> None:
        """Write mirror.toml."""
        (self.config / "mirror.toml").write_bytes(text.encode())

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file that is to be imported."""
        path = self.source / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def run(self, *arguments: object, stdin: bytes | None = None) -> Done:
        """Run the command in this process."""
        environment = {"MIRROR_POLICY": str(self.config / "mirror.toml"), "MIRROR_STATE": str(self.config / "state")}
        result = CliRunner().invoke(app, ["import", *map(str, arguments)], input=stdin, env=environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return Done(result.exit_code, result.stdout, result.stderr)

    def import_text(self, name: str, content: str | bytes, *arguments: object) -> Done:
        """Write a file and import it."""
        return self.run(self.write(name, content), *arguments)

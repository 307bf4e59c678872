"""A TOML document that is imported: its tables with the line of each key."""

from typing import Any

from mirror_syncer.commands.importing.file_kind import MAX_TOML_BYTES
from mirror_syncer.commands.importing.findings import FileLine
from mirror_syncer.commands.importing.input_file import InputFile
from mirror_syncer.config.toml.document import DocumentError, load_toml
from mirror_syncer.config.toml.lines import Path, locate_keys
from mirror_syncer.errors import ConfigurationError

Table = dict[str, Any]


class TomlInput:
    """
    The tables of a file.

    Raises:
        ConfigurationError: it is not TOML, or too large.
    """

    def __init__(self, file: InputFile) -> None:
        self._name = file.name
        if len(file.content) > MAX_TOML_BYTES:
            raise ConfigurationError(file.name, [f"has more than {MAX_TOML_BYTES // 2**20} MiB; is it the right file?"])
        try:
            self._tables = load_toml(file.text)
        except DocumentError as error:
            raise ConfigurationError(file.name, list(map(str, error.problems))) from error
        self._lines = locate_keys(file.text)

    def get(self, *path: str) -> Any:  # noqa: ANN401 - any value of TOML
        """Return a value, or None."""
        value: Any = self._tables
        for key in path:
            if not isinstance(value, dict) or key not in value:
                return None
            value = value[key]
        return value

    def table(self, *path: str) -> Table:
        """Return a table; an empty one if there is none."""
        value = self.get(*path)
        return value if isinstance(value, dict) else {}

    def items(self, *path: str) -> list[Any]:
        """Return a list; an empty one if there is none."""
        value = self.get(*path)
        return value if isinstance(value, list) else []

    def origin(self, *path: str | int) -> FileLine:
        """Return where a key stands; of what is absent, its table."""
        place: Path = path
        known = next((place[:length] for length in range(len(place), 0, -1) if place[:length] in self._lines), None)
        return FileLine(self._name, self._lines[known] if known else None)

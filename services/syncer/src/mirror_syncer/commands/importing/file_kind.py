"""The kind of an imported file, recognized by its name and content."""

import re
from enum import StrEnum

from mirror_syncer.commands.import_choices import FileFormat
from mirror_syncer.commands.importing.input_file import InputFile
from mirror_syncer.config.locks.formats import is_toml
from mirror_syncer.config.toml.document import DocumentError, load_toml
from mirror_syncer.errors import ConfigurationError

MAX_TOML_BYTES = 8 * 2**20
_LOCK_KEYS = frozenset({"lock-version", "package", "packages", "requires-python", "manifest"})
_PROJECT_KEYS = frozenset({"project", "build-system", "dependency-groups", "tool"})
_ENVIRONMENT = re.compile(r"^(?:dependencies|channels)[ \t]*:", re.MULTILINE)
_NOT_READ = {
    "setup.py": "is a program, which is not run; import what pip-compile or uv pip compile makes of it",
    "setup.cfg": "is not read; import what pip-compile or uv pip compile makes of it",
    "Pipfile": "is not read; run pipenv lock, and import Pipfile.lock",
    "pixi.toml": "is not read; import a requirements file",
    "pixi.lock": "is not read; import a requirements file",
    "conda-lock.yml": "is not read; import environment.yml",
    "bandersnatch.conf": "is bandersnatch's configuration; use mirror-syncer import-config",
    "mirror.toml": "is the mirror's own file, into which others are imported",
}


class FileKind(StrEnum):
    """How a file is read."""

    LOCK = "a lock"
    REQUIREMENTS = FileFormat.REQUIREMENTS.value
    PYPROJECT = FileFormat.PYPROJECT.value
    ENVIRONMENT = FileFormat.ENVIRONMENT.value


ACCEPTED = f"import takes {', '.join(list(FileFormat)[:-1])} and {FileFormat.ENVIRONMENT}"


def recognize(file: InputFile) -> FileKind:
    """
    Return the kind of a file; requirements may still turn out to be a lock.

    Raises:
        ConfigurationError: it is none that can be imported.
    """
    name = file.path.name if file.path else ""
    if why := _NOT_READ.get(name):
        raise ConfigurationError(file.name, [f"{why}; {ACCEPTED}"])
    if file.text.lstrip().startswith("{"):
        return FileKind.LOCK
    if is_toml(file.text):
        return _recognize_toml(file)
    if name.endswith((".yml", ".yaml")) or _ENVIRONMENT.search(file.text):
        return FileKind.ENVIRONMENT
    return FileKind.REQUIREMENTS


def _recognize_toml(file: InputFile) -> FileKind:
    if len(file.content) > MAX_TOML_BYTES:  # only a lock is that large
        return FileKind.LOCK
    try:
        keys = load_toml(file.text).keys()
    except DocumentError as error:
        problems = [f"{problem}; {ACCEPTED}" for problem in error.problems]
        raise ConfigurationError(file.name, problems) from error
    if keys & _LOCK_KEYS:
        return FileKind.LOCK
    if keys & _PROJECT_KEYS:
        return FileKind.PYPROJECT
    message = f"is TOML, but neither pyproject.toml nor a lock; {ACCEPTED}"
    raise ConfigurationError(file.name, [message])

"""What a person can choose for an import or a check; apart from it, since the command line reads this at each start."""

from enum import StrEnum


class FileFormat(StrEnum):
    """The files that can be imported, by their usual names."""

    REQUIREMENTS = "requirements.txt"
    PYPROJECT = "pyproject.toml"
    UV = "uv.lock"
    POETRY = "poetry.lock"
    PDM = "pdm.lock"
    PYLOCK = "pylock.toml"
    PIPFILE = "Pipfile.lock"
    ENVIRONMENT = "environment.yml"


class CheckAgainst(StrEnum):
    """Against what requirements are checked."""

    UPSTREAM = "upstream"
    MIRROR = "mirror"


class ImportAs(StrEnum):
    """What requirements become."""

    LOCK = "lock"
    LINES = "lines"

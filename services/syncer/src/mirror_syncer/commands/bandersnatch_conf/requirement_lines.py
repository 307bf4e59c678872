"""Lists of names with versions: in the configuration itself, and in the requirement files that it names."""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName

from mirror_contract import parse_project_name
from mirror_syncer.errors import ConfigurationError

# The longest first: the byte order mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CODING = re.compile(rb"\A(?:.*\n)?#.*coding[:=][ \t]*([-\w.]+)")


@dataclass(frozen=True, slots=True)
class NamedVersions:
    """One line: a project, and which of its versions."""

    name: NormalizedName
    specifier: SpecifierSet
    text: str
    """As it is written."""

    @classmethod
    def parse(cls, text: str) -> "NamedVersions":
        """
        Parse a line; its extras, marker or URL do not count, as in bandersnatch.

        Raises:
            ValueError: it is no requirement.
        """
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise ValueError(str(error).splitlines()[0]) from None
        except RecursionError:
            raise ValueError("its marker has too many brackets") from None
        return cls(parse_project_name(requirement.name), SpecifierSet(str(requirement.specifier)), text)

    def __str__(self) -> str:
        return f"{self.name}{self.specifier}"

    @property
    def matches_nothing(self) -> bool:
        """Whether its conditions contradict each other."""
        return SpecifierSet(str(self.specifier), prereleases=True).is_unsatisfiable()


def without_comments(lines: Iterable[str], *, skip: tuple[str, ...] = ("#",)) -> Iterator[tuple[int, str]]:
    """Yield each line that is no comment with its number, without the comment at its end."""
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text and not text.startswith(skip):
            yield number, text.split("#", maxsplit=1)[0].strip()


def find_requirement_files(patterns: Iterable[str], *, directory: Path) -> Iterator[Path]:
    """Yield the files of a list of names and globs; a glob without a match yields nothing."""
    for _, pattern in without_comments(patterns):
        if "*" in pattern:
            yield from (directory / path.name for path in sorted(directory.glob(pattern)))
        else:
            yield directory / pattern


def read_requirement_file(path: Path) -> list[NamedVersions]:
    """
    Read a requirement file; options such as ``-r`` are skipped, as in bandersnatch.

    Raises:
        ConfigurationError: it cannot be read; the error names the line.
    """
    try:
        text = _decode(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(str(path), [f"cannot be read ({error.strerror}); mount it at this path"]) from error
    except (UnicodeError, LookupError) as error:  # LookupError: the file names an encoding that does not exist
        raise ConfigurationError(str(path), ["is not UTF-8; save the file as UTF-8"]) from error
    except ValueError as error:
        raise ConfigurationError(ascii(str(path)), ["is not the name of a file"]) from error
    found = []
    for number, line in without_comments(text.splitlines(), skip=("#", "-")):
        try:
            found.append(NamedVersions.parse(line))
        except ValueError as error:
            raise ConfigurationError(
                str(path), [f"line {number}: bandersnatch cannot read it either: {error}"]
            ) from error
    return found


def _decode(content: bytes) -> str:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding)
    coding = _CODING.match(content)
    return content.decode(coding[1].decode("ascii") if coding else "utf-8")

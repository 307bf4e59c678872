"""A configuration file of bandersnatch, read by bandersnatch's own rules."""

import configparser
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from mirror_syncer.errors import ConfigurationError

DEFAULT_SECTION = "DEFAULT"
_HEADER = re.compile(r"\[(?P<name>.+)\]")
_NO_SECTION = "\0"  # no file has a section of this name, so [DEFAULT] is read like any other
# bandersnatch's own values for options of [mirror] that the file does not set; other values may refer to them.
MIRROR_DEFAULTS = {
    "storage-backend": "filesystem",
    "storage-filesystem-manage-permissions": "true",
    "master": "https://pypi.org",
    "proxy": "",
    "download-mirror": "",
    "download-mirror-no-fallback": "false",
    "allow-non-https": "false",
    "json": "false",
    "release-files": "true",
    "core-metadata": "true",
    "hash-index": "false",
    "simple-format": "ALL",
    "compare-method": "hash",
    "digest_name": "sha256",
    "keep-index-versions": "0",
    "cleanup": "false",
    "stop-on-error": "false",
    "cleanup_todo": "false",
    "delete_missing_packages": "false",
    "timeout": "10",
    "global-timeout": "1800",
    "workers": "3",
    "verifiers": "3",
    "root_uri": "",
    "diff-file": "",
    "diff-append-epoch": "false",
    "log-config": "",
}

_REASONS: dict[type[configparser.Error], str] = {
    configparser.MissingSectionHeaderError: "stands before the first [section]",
    configparser.ParsingError: "is neither a [section] nor NAME = VALUE",
    configparser.InterpolationDepthError: "its value refers to itself",
    configparser.Error: "write %% for a percent sign; % alone begins a reference such as %(directory)s",
}


@dataclass(frozen=True, slots=True)
class Option:
    """An option as the file has it."""

    section: str
    name: str
    line: int | None = field(compare=False)


class _Parser(configparser.ConfigParser):
    """bandersnatch's rules: ``=`` alone divides, names keep their case, and ``%(name)s`` is replaced."""

    def __init__(self, *, default_section: str) -> None:
        super().__init__(delimiters="=", default_section=default_section)

    def optionxform(self, optionstr: str) -> str:
        return optionstr


class _LocatingParser(_Parser):
    """A parser that knows the line of each option."""

    def __init__(self) -> None:
        super().__init__(default_section=_NO_SECTION)
        self.lines: dict[tuple[str, str], int] = {}
        self._section, self._line = "", 0

    def optionxform(self, optionstr: str) -> str:
        self.lines.setdefault((self._section, optionstr), self._line)
        return optionstr

    def read_text(self, text: str, *, name: str) -> None:
        """Read the text of a file."""
        self.read_file(self._numbered(text), source=name)

    def _numbered(self, text: str) -> Iterator[str]:
        for self._line, line in enumerate(_lines(text), start=1):
            if header := _HEADER.match(line):
                self._section = header["name"]
            yield line


class IniFile:
    """
    A configuration file.

    Args:
        name: the file's, as messages say it.

    Raises:
        ConfigurationError: it cannot be read; the error names the line.
    """

    def __init__(self, content: bytes, *, name: str) -> None:
        self.name = name
        text = self._decode(content)
        located, self._parser = _LocatingParser(), _Parser(default_section=DEFAULT_SECTION)
        try:
            self._parser.read_dict({"mirror": MIRROR_DEFAULTS})
            self._parser.read_file(_lines(text), source=name)
            located.read_text(text, name=name)
        except configparser.Error as error:
            raise self._error(_line_of(error), _reason_of(error)) from error
        self._options = {
            (section, option): Option(section, option, located.lines.get((section, option)))
            for section in located.sections()
            for option in located.options(section)
        }

    def _decode(self, content: bytes) -> str:
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise self._error(line, "is not UTF-8; save the file as UTF-8") from error

    @property
    def options(self) -> tuple[Option, ...]:
        """All options of the file, in its order."""
        return tuple(self._options.values())

    def option(self, section: str, name: str) -> Option | None:
        """Return an option of a section, which may stand in [DEFAULT] instead."""
        if (section, name) in self._options:
            return self._options[section, name]
        if section == "mirror" and name in MIRROR_DEFAULTS:
            return None  # bandersnatch's own value wins over [DEFAULT]
        return self._options.get((DEFAULT_SECTION, name)) if self._parser.has_section(section) else None

    def names(self, section: str) -> list[str]:
        """Return the names of a section's options, with those that it has from [DEFAULT]."""
        return self._parser.options(section) if self._parser.has_section(section) else []

    def value(self, section: str, name: str) -> str | None:
        """
        Return an option's value, or None if the file does not contain it.

        Raises:
            ConfigurationError: the value refers to an option that does not exist, or has a single ``%``.
        """
        option = self.option(section, name)
        if option is None:
            return None
        try:
            return self._parser.get(section, name)
        except configparser.InterpolationError as error:
            problem = f"[{section}] {name}: {_reason_of(error)}"
            raise self._error(option.line, problem) from error

    def items(self, section: str, name: str) -> list[str]:
        """Return the items of a list, one a line."""
        return [line.strip() for line in (self.value(section, name) or "").split("\n") if line.strip()]

    def patterns(self, section: str, name: str) -> list[re.Pattern[str]]:
        """
        Return the regular expressions of a list, one a line.

        Raises:
            ConfigurationError: one of them is none, so that bandersnatch does not start.
        """
        patterns = []
        for item in self.items(section, name):
            try:
                patterns.append(re.compile(item))
            except (re.error, OverflowError, RecursionError) as error:  # a{9999999999}, or a thousand brackets
                reason = f"{item!r} is not a regular expression ({error}), and bandersnatch does not start"
                raise self.wrong(section, name, reason) from error
        return patterns

    def boolean(self, section: str, name: str) -> bool | None:
        """
        Return the value of a switch, or None if the file does not contain it.

        Raises:
            ConfigurationError: the value is neither true nor false.
        """
        value = self.value(section, name)
        if value is None:
            return None
        try:
            return self._parser.BOOLEAN_STATES[value.lower()]
        except KeyError:
            raise self.wrong(section, name, "must be true or false") from None

    def wrong(self, section: str, name: str, reason: str) -> ConfigurationError:
        """Return the error for a value with which bandersnatch does not start."""
        option = self.option(section, name)
        return self._error(option.line if option else None, f"[{section}] {name}: {reason}")

    def _error(self, line: int | None, reason: str) -> ConfigurationError:
        return ConfigurationError(self.name, [f"line {line}: {reason}" if line else reason])


def _lines(text: str) -> Iterator[str]:
    """Yield the lines of a file with LF, CRLF or CR; unlike splitlines, split at nothing else."""
    return iter(io.StringIO(text, newline=None))


def _line_of(error: configparser.Error) -> int | None:
    if isinstance(error, configparser.ParsingError) and not isinstance(error, configparser.MissingSectionHeaderError):
        return error.errors[0][0] if error.errors else None
    return getattr(error, "lineno", None)


def _reason_of(error: configparser.Error) -> str:
    """Return what is wrong, without quoting a value, which may hold a password."""
    if isinstance(error, configparser.DuplicateOptionError):
        return f"[{error.section}] {error.option} occurs twice"
    if isinstance(error, configparser.DuplicateSectionError):
        return f"the section [{error.section}] occurs twice"
    if isinstance(error, configparser.InterpolationMissingOptionError):
        return f"its value refers to %({error.reference})s, which does not exist"
    return next(reason for kind, reason in _REASONS.items() if isinstance(error, kind))

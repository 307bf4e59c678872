"""``environment.yml`` of conda: the requirements in its ``pip`` list."""

import re
from collections.abc import Iterator

import yaml

from mirror_contract.text import printable
from mirror_syncer.commands.importing.file_kind import ACCEPTED
from mirror_syncer.commands.importing.findings import FileLine, Findings
from mirror_syncer.commands.importing.input_file import InputFile
from mirror_syncer.commands.importing.requirements_file import RequirementsReader
from mirror_syncer.config.locks.requirement_lines import parse_requirement_line
from mirror_syncer.errors import ConfigurationError

_MAX_BYTES = 2**20  # 500 packages have 25 kB
_MAX_DEPTH = 20
_OPENING, _CLOSING = (yaml.MappingStartEvent, yaml.SequenceStartEvent), (yaml.MappingEndEvent, yaml.SequenceEndEvent)
# Without libyaml, PyYAML reads 100 kB a second.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PYTHON = re.compile(r"(?:[\w.-]+::)?python[ \t]*={1,2}[ \t]*(3\.\d+)[\w.*=]*")
_NAME = re.compile(r"(?:[\w./-]+::)?([A-Za-z0-9_][\w.-]*)")
_COMMENT = re.compile(r"(?:^|(?<=[ \t]))#.*")
_NEEDLESS = frozenset({"python", "pip"})


def read_environment(file: InputFile, findings: Findings) -> list[str]:
    """
    Add the requirements of the ``pip`` list; leave out conda's own packages.

    Returns: the Pythons that the environment names, such as ``3.12``.

    Raises:
        ConfigurationError: it is no YAML, or no environment.
    """
    root = _compose(file)
    dependencies = _value(root, "dependencies")
    if not isinstance(dependencies, yaml.SequenceNode):
        message = f"has no list of dependencies, as conda's environments have; {ACCEPTED}"
        raise ConfigurationError(file.name, [message])
    pythons, reader = list[str](), RequirementsReader(findings)
    for node in dependencies.value:
        if isinstance(node, yaml.ScalarNode):
            pythons += _conda_package(node, file, findings)
            continue
        pip = _value(node, "pip")
        if not isinstance(pip, yaml.SequenceNode):
            findings.leave_out("is neither a package nor a pip list", _origin(node, file))
            continue
        for item in pip.value:
            if isinstance(item, yaml.ScalarNode):
                text = _COMMENT.sub("", " ".join(item.value.split())).strip()
                if text:
                    reader.read_line(parse_requirement_line(text, _origin(item, file).line or 0), file)
            else:
                findings.leave_out("is not a requirement; write a text", _origin(item, file))
    reader.finish()
    return pythons


def _compose(file: InputFile) -> yaml.Node | None:
    """Return the document's node; aliases, which can stand for gigabytes, and deep nesting are refused first."""
    if len(file.content) > _MAX_BYTES:
        raise ConfigurationError(file.name, [f"has more than {_MAX_BYTES // 2**20} MiB; is it the right file?"])
    try:
        _check(file, yaml.parse(file.text, Loader=_Loader))
        return yaml.compose(file.text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        reason = printable(str(getattr(error, "problem", None) or "a character that YAML forbids"))
        raise ConfigurationError(file.name, [f"{line}is not YAML ({reason})"]) from error


def _check(file: InputFile, events: Iterator[yaml.Event]) -> None:
    depth = 0
    for event in events:
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):
            raise ConfigurationError(file.name, [f"line {line}: is an alias (*), which is not read; write it out"])
        depth += isinstance(event, _OPENING) - isinstance(event, _CLOSING)
        if depth > _MAX_DEPTH:
            raise ConfigurationError(file.name, [f"line {line}: nests more than {_MAX_DEPTH} levels deep"])


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """Return the value of a mapping's key."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)


def _conda_package(node: yaml.ScalarNode, file: InputFile, findings: Findings) -> Iterator[str]:
    """Leave out one of conda's own packages; yield the version if it is Python."""
    if python := _PYTHON.fullmatch(node.value.strip()):
        yield python[1]
    name = match[1] if (match := _NAME.match(node.value)) else "?"
    if name not in _NEEDLESS:
        sentence = f"{name} is conda's own package, which no Python index has; add a line if pip is to install it"
        findings.leave_out(sentence, _origin(node, file))


def _origin(node: yaml.Node, file: InputFile) -> FileLine:
    return FileLine(file.name, node.start_mark.line + 1)

"""A closure as a JSON document, and back."""

from collections.abc import Iterable

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from pydantic import BaseModel, ConfigDict

from mirror_contract import UnmetReason, parse_project_name
from mirror_syncer.config.policy.closure import Closure, ProjectClosure, Proof, Unmet
from mirror_syncer.config.policy.selection import VersionRule

FORMAT = 1
"""Of the document. A closure of another format is computed again."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Rule(_Strict):
    specifier: str
    latest: int | None
    prereleases: bool | None
    clients: str | None  # hexadecimal: hundreds of machines have more bits than JSON's numbers are sure to keep
    takes_yanked: bool


class _Project(_Strict):
    rules: list[_Rule]
    resolved: list[str]
    unusable: list[str]
    chains: dict[str, str]
    required_by: dict[str, list[str]]
    files: int
    size: int


class _Unmet(_Strict):
    project: str
    version: str
    requirement: str
    machines: list[str]
    reason: UnmetReason
    message: str


class _Proof(_Strict):
    subject: str
    machine: str
    releases: dict[str, str]


class _Document(_Strict):
    projects: dict[str, _Project]
    unmet: list[_Unmet]
    proofs: list[_Proof]
    pages: list[str]
    waves: list[list[str]]
    circles: list[list[str]] = []
    expires_at: int | None


def encode_closure(closure: Closure) -> bytes:
    """Return a closure as JSON; equal ones are equal bytes, whatever the order of their sets."""
    document = _Document(
        projects={
            name: _Project(
                rules=[_encode_rule(rule) for rule in project.rules],
                resolved=sorted(project.resolved),
                unusable=sorted(project.unusable),
                chains={version: _text(chain) for version, chain in project.chains.items()},
                required_by={by: [_text(one) for one in texts] for by, texts in sorted(project.required_by.items())},
                files=project.files,
                size=project.size,
            )
            for name, project in sorted(closure.projects.items())
        },
        unmet=[
            _Unmet(
                project=one.project,
                version=_text(one.version),
                requirement=_text(one.requirement),
                machines=list(one.machines),
                reason=one.reason,
                message=_text(one.message),
            )
            for one in closure.unmet
        ],
        proofs=[
            _Proof(subject=_text(one.subject), machine=one.machine, releases=dict(one.releases))
            for one in closure.proofs
        ],
        pages=sorted(closure.pages),
        waves=[list(wave) for wave in closure.waves],
        circles=[list(circle) for circle in closure.circles],
        expires_at=closure.expires_at,
    )
    return document.model_dump_json().encode("utf-8")


def decode_closure(document: bytes) -> Closure:
    """
    Return the closure of a JSON document.

    Raises:
        ValueError: it is none, or names a project or a specifier that is wrong.
    """
    read = _Document.model_validate_json(document)
    return Closure(
        projects={
            _name(name): ProjectClosure(
                rules=tuple(_decode_rules(project.rules)),
                resolved=frozenset(project.resolved),
                unusable=frozenset(project.unusable),
                chains=project.chains,
                required_by={_name(by): tuple(texts) for by, texts in project.required_by.items()},
                files=project.files,
                size=project.size,
            )
            for name, project in read.projects.items()
        },
        unmet=tuple(
            Unmet(_name(one.project), one.version, one.requirement, tuple(one.machines), one.reason, one.message)
            for one in read.unmet
        ),
        proofs=tuple(
            Proof(one.subject, one.machine, {_name(name): version for name, version in one.releases.items()})
            for one in read.proofs
        ),
        pages=frozenset(map(_name, read.pages)),
        waves=tuple(tuple(map(_name, wave)) for wave in read.waves),
        circles=tuple(tuple(map(_name, circle)) for circle in read.circles),
        expires_at=read.expires_at,
    )


def _encode_rule(rule: VersionRule) -> _Rule:
    return _Rule(
        specifier=str(rule.specifier),
        latest=rule.latest,
        prereleases=rule.prereleases,
        clients=None if rule.clients is None else f"{rule.clients:x}",
        takes_yanked=rule.takes_yanked,
    )


def _decode_rules(rules: Iterable[_Rule]) -> Iterable[VersionRule]:
    for rule in rules:
        clients = None if rule.clients is None else int(rule.clients, 16)
        yield VersionRule(SpecifierSet(rule.specifier), rule.latest, rule.prereleases, clients, rule.takes_yanked)


def _text(value: str) -> str:
    """Return a text without lone surrogates, which JSON in UTF-8 cannot hold; hostile metadata may have some."""
    return value.encode("utf-8", "replace").decode("utf-8")


def _name(text: str) -> NormalizedName:
    """
    Return a name, which must be normalized: anything else was not written by us.

    Raises:
        ValueError: it is not.
    """
    name = parse_project_name(text)
    if name != text:
        raise ValueError(f"{text!r} is not a normalized name")
    return name

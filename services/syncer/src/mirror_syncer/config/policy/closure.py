"""The dependency closure as values: which releases of which projects the selected ones need, and what is unmet."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from packaging.utils import NormalizedName

from mirror_contract import UnmetReason
from mirror_syncer.config.policy.selection import Selection, VersionRule

_SHOWN_CHAINS = 2


@dataclass(frozen=True, slots=True)
class Unmet:
    """A requirement that the mirror does not meet; by name, so that a person can act on it."""

    project: NormalizedName
    """Whose requirement it is; of a proof, the project of the line."""
    version: str
    """Of the release that requires it; empty for a line or a group."""
    requirement: str
    """As its metadata or ``mirror.toml`` states it."""
    machines: tuple[str, ...]
    """Where it counts, as in ``Python 3.11 on linux-x86_64``."""
    reason: UnmetReason
    message: str
    """A sentence for a person; of a proof, the solver's words."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Releases on the mirror that together satisfy a line or a group on one machine: the witness."""

    subject: str
    """The line, such as ``django[argon2]>=5``, or ``group web``."""
    machine: str
    releases: Mapping[NormalizedName, str]
    """The version of each project, dependencies included."""


@dataclass(frozen=True, slots=True)
class ProjectClosure:
    """What the closure says about one project."""

    rules: tuple[VersionRule, ...] = ()
    """Demands, and witnesses (``==`` without ``latest``), in addition to the lines."""
    resolved: frozenset[str] = frozenset()
    """Versions, as ``str(Version)``, whose requirements were followed. Others wait, unless they are published."""
    unusable: frozenset[str] = frozenset()
    """Versions that take no place among the newest, since installers pass them over: pip cannot read a requirement."""
    chains: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Why each version is here, such as ``requests → urllib3<3,>=1.26``."""
    required_by: Mapping[NormalizedName, tuple[str, ...]] = field(default_factory=dict, compare=False)
    """The requirements on it that count on some machine, by the project whose kept releases state them."""
    files: int = field(default=0, compare=False)
    """How many files the judgement keeps."""
    size: int = field(default=0, compare=False)
    """Their bytes, as far as upstream's page tells."""

    @property
    def selection(self) -> Selection | None:
        """The project as only requirements select it, without lines; None if none requires it."""
        if not self.rules:
            return None
        chains = tuple(dict.fromkeys(self.chains.values())) or ("by what mirror.toml selects",)
        more = f" and {len(chains) - _SHOWN_CHAINS} more" if len(chains) > _SHOWN_CHAINS else ""
        return Selection(f"{', or '.join(chains[:_SHOWN_CHAINS])}{more}", (), named=False, is_required=True)


@dataclass(frozen=True, slots=True)
class Closure:
    """What the selected projects need, and what that needs, and so on."""

    projects: Mapping[NormalizedName, ProjectClosure] = field(default_factory=dict)
    """Of the selected projects, too."""
    unmet: tuple[Unmet, ...] = ()
    proofs: tuple[Proof, ...] = ()
    pages: frozenset[NormalizedName] = frozenset()
    """The projects whose pages were read: when one of them changes, the closure may."""
    waves: tuple[tuple[NormalizedName, ...], ...] = ()
    """The order of publication: what is required is in an earlier wave, or in the same one if it forms a circle."""
    expires_at: int | None = None
    """When time alone changes it: a release that it passed over matures; seconds since the epoch."""
    circles: tuple[tuple[NormalizedName, ...], ...] = ()
    """Projects that require each other: their pages appear together."""

    @property
    def required(self) -> Iterator[NormalizedName]:
        """Yield the projects with a required release, whether a line names them or not."""
        return (name for name, project in self.projects.items() if project.rules)


NO_CLOSURE = Closure()
"""Nothing is known yet: all that is not published waits, and a published project without a line may be needed."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The table ``[dependencies]``."""

    follow: bool = False
    """Whether what the selected projects need is mirrored, too."""
    latest: int = 1
    """How many of the newest releases are kept for each requirement and machine."""
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Requirements that are installed together, by the group's name."""
    withhold_unmet: bool = False
    """A release with an unmet requirement is not published; otherwise it is, and is reported."""
    additions: Mapping[NormalizedName, tuple[str, ...]] = field(default_factory=dict)
    """Requirements that a project's metadata does not state."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The table ``[limits]``: a sync that would exceed one stops before it downloads a file."""

    projects: int | None = None
    size: int | None = None
    """Bytes."""

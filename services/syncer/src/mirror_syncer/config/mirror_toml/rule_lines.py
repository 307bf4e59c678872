"""Lines of ``mirror.toml`` that name projects or versions for a rule: ``[age] exempt`` and ``[block] projects``."""

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from pydantic import Field, field_validator

from mirror_syncer.config.mirror_toml.project_line import MAX_NAME_LENGTH, parse_requirement
from mirror_syncer.config.policy.age import Exemption
from mirror_syncer.config.policy.patterns import compile_pattern
from mirror_syncer.config.toml.document import Line, Moment
from mirror_syncer.config.toml.values import shown

_MAX_REASON = 500  # characters


class _Requirement(Line):
    """A name, or a name with versions, and why it is named."""

    because: str = Field(default="", max_length=_MAX_REASON, description="a short text")

    @staticmethod
    def parse(text: str) -> tuple[NormalizedName, SpecifierSet]:
        """
        Return the project and the versions that a line names.

        Raises:
            ValueError: it is no name with optional versions.
        """
        name, requirement = parse_requirement(text)
        if requirement.url or requirement.marker or requirement.extras:
            raise ValueError(f"must be a name with optional versions; write {shown(f'{name}{requirement.specifier}')}")
        return name, requirement.specifier


class ExemptLine(_Requirement):
    """``"our-lib"``, or ``{ allow = "django==5.2.19", until = 2026-12-24, because = "CVE-2026-1234" }``."""

    KEY = "allow"

    allow: str = Field(max_length=MAX_NAME_LENGTH, description="a name with optional versions")
    until: Moment | None = None

    @field_validator("allow")
    @classmethod
    def _is_requirement(cls, value: str) -> str:
        cls.parse(value)
        return value

    def exemption(self) -> tuple[NormalizedName, Exemption]:
        """Return it with its project."""
        name, specifier = self.parse(self.allow)
        until = None if self.until is None else int(self.until.timestamp())
        because = f" ({self.because})" if self.because else ""
        return name, Exemption(specifier, until, f"[age] exempt names {self.allow!r}{because}")


class BlockLine(_Requirement):
    """``"evilpkg"``, ``"acme-*"``, or ``{ name = "foo==1.2.3", because = "…" }``."""

    KEY = "name"

    name: str = Field(max_length=MAX_NAME_LENGTH, description="a name with optional versions, or a pattern for names")

    @field_validator("name")
    @classmethod
    def _is_requirement_or_pattern(cls, value: str) -> str:
        if is_pattern(value):
            compile_pattern(value)
        else:
            cls.parse(value)
        return value

    @property
    def reason(self) -> str:
        """Why it is blocked."""
        return self.because or f"[block] projects names {self.name!r}"


def is_pattern(text: str) -> bool:
    """Return whether a line is a pattern for names: a glob, or a regular expression between slashes."""
    return text.startswith("/") or ("=" not in text and any(character in text for character in "*?["))

"""Where an index's pages lie: below ``/simple/`` for most, right below the URL for others."""

from urllib.parse import urlsplit

# PyPI's pages have one place. Names that it lacks are not asked for anywhere else.
_SINGLE_LOCATION = frozenset({"https://pypi.org"})
_DEVPI = "/+simple"


class Location:
    """
    The URLs below which pages may lie, until one of them has answered.

    Nexus, Artifactory and other mirrors are named with or without ``/simple``; PyTorch's, NVIDIA's and proxpi's indexes
    are right below their URL, as pip takes it; devpi's are below ``+simple`` of the index's own URL.

    Args:
        origin: the index as ``MIRROR_UPSTREAM`` names it, without ``/simple`` and without a slash at its end.
    """

    def __init__(self, origin: str) -> None:
        self._origin = origin
        if origin in _SINGLE_LOCATION:
            self.bases: tuple[str, ...] = (f"{origin}/simple",)
        elif origin.endswith(_DEVPI):
            self.bases = (origin,)
        else:
            self.bases = (f"{origin}/simple", origin, f"{origin}{_DEVPI}")

    @property
    def confirmed(self) -> bool:
        """Whether one of them is known to be right."""
        return len(self.bases) == 1

    def confirm(self, base: str) -> None:
        """Take one of them for the right one, now that it has answered."""
        self.bases = (base,)

    def may_be_list(self, base: str, *, is_json: bool) -> bool:
        """Return whether what a URL answers may be the list of projects: a host's own front page in HTML is none."""
        return is_json or base != self._origin or bool(urlsplit(base).path)

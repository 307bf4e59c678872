"""The base URL of an index's pages: ``/simple/`` for most, the URL itself for others."""

from urllib.parse import urlsplit

# PyPI has one base URL, so that a missing name costs only one request.
_SINGLE_LOCATION = frozenset({"https://pypi.org"})
_DEVPI = "/+simple"


class Location:
    """
    The candidate base URLs of an index, until one of them has answered.

    The URL of Nexus, Artifactory and other mirrors may or may not end in ``/simple``. The pages of PyTorch, NVIDIA and
    proxpi are directly below the index URL, those of devpi below its ``+simple``.

    Args:
        origin: the value of ``MIRROR_UPSTREAM``, without ``/simple`` and without a trailing slash.
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
        """Whether the right one is known."""
        return len(self.bases) == 1

    def confirm(self, base: str) -> None:
        """Use only this one from now on, because it has answered."""
        self.bases = (base,)

    def may_be_list(self, base: str, *, is_json: bool) -> bool:
        """Return whether the response of a URL may be a project list; a host's HTML front page is none."""
        return is_json or base != self._origin or bool(urlsplit(base).path)

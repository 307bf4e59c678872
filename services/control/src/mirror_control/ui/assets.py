"""The page's styles, scripts and icon, all served by the mirror itself."""

import hashlib
from importlib.resources import files
from typing import NamedTuple

_MEDIA_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_OWN_FILES = ("style.css", "docs.css", "page.js", "icon.svg")
# services/control/assets/fetch downloads it from npm. Without it, the page does not update itself.
_VENDORED_FILES = ("htmx.min.js",)


class Asset(NamedTuple):
    """A file in memory; all of them have 55 KB."""

    name: str
    content: bytes

    @property
    def media_type(self) -> str:
        """The media type."""
        return _MEDIA_TYPES[self.name.rpartition(".")[2]]

    @property
    def url(self) -> str:
        """The URL, which contains a digest of the content, so that browsers can cache it forever."""
        return f"/ui/static/{hashlib.sha256(self.content).hexdigest()[:12]}/{self.name}"


def load_assets() -> dict[str, Asset]:
    """Return the existing files by name."""
    place = files("mirror_control").joinpath("ui")
    paths = [place.joinpath(name) for name in _OWN_FILES] + [place.joinpath("vendor", name) for name in _VENDORED_FILES]
    return {path.name: Asset(path.name, path.read_bytes()) for path in paths if path.is_file()}

"""What the page's browser is sent besides HTML: style, scripts, an icon; all of it from here, none from elsewhere."""

import hashlib
from importlib.resources import files
from typing import NamedTuple

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_OURS = ("style.css", "page.js", "icon.svg")
# Taken from npm by services/control/assets/fetch. A checkout that has not run it has a page without them: it is read
# all the same, as without JavaScript.
_VENDORS = ("htmx.min.js", "uPlot.iife.min.js", "uPlot.min.css")


class Asset(NamedTuple):
    """A file, whole in memory: all of them are 110 KB."""

    name: str
    content: bytes

    @property
    def media_type(self) -> str:
        """What it is."""
        return _TYPES[self.name.rpartition(".")[2]]

    @property
    def url(self) -> str:
        """Where it is: another content has another address, so no browser ever asks for it twice."""
        return f"/ui/static/{hashlib.sha256(self.content).hexdigest()[:12]}/{self.name}"


def load() -> dict[str, Asset]:
    """Return the files that are there, by name."""
    place = files("mirror_control").joinpath("ui")
    paths = [place.joinpath(name) for name in _OURS] + [place.joinpath("vendor", name) for name in _VENDORS]
    return {path.name: Asset(path.name, path.read_bytes()) for path in paths if path.is_file()}

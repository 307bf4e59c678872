"""The client that downloads: an installer and its version, from the user agent."""

import re
from functools import lru_cache
from typing import NamedTuple

MIRRORS = frozenset({"artifactory", "bandersnatch", "devpi", "nexus", "pulp", "pypi-mirror"})
"""Clients that pass on what they download. What their own clients install, only they know."""
# uv/0.9.2 {"installer":…}, poetry/2.5.1 CPython/3.13.5 Linux/6.1, bandersnatch/8.2.0 (CPython 3.13.5, aiohttp 3.14)
_INSTALLER = re.compile(r"(pip|uv|poetry|pdm|bandersnatch|pypi-mirror)(?:/(\S*))?(?!\S)", re.ASCII)
# devpi-server/6.20.3 (py3.13.5; linux), Nexus/3.70.1-02 (OSS; Linux), Artifactory/7.90.1, pulpcore/3.55.2 (cpython …)
_SERVER = re.compile(r"(devpi|Nexus|Artifactory|pulp)(?:-server|core)?/(\S*)", re.ASCII)
# PEP 440 limits no version, but those of installers have at most 16 characters. Any other text is not a version.
_VERSION = re.compile(r"\d[0-9A-Za-z.+!-]{0,31}", re.ASCII)
# A header may have 8 kB; a longer key would only fill the cache.
_MAX_AGENT_LENGTH = 80


class Client(NamedTuple):
    """A client. The version is empty if unknown, and for browsers and others, which have hundreds of versions."""

    name: str
    version: str = ""


_BROWSER, _OTHER = Client("browser"), Client("other")


def parse_client(agent: str) -> Client:
    """Return the client that a user agent names; ``other`` for an unknown one."""
    return _parse(agent[:_MAX_AGENT_LENGTH])


@lru_cache(maxsize=1024)
def _parse(agent: str) -> Client:
    if found := _INSTALLER.match(agent) or _SERVER.match(agent):
        name, version = found.groups(default="")
        return Client(name.lower(), version if _VERSION.fullmatch(version) else "")
    return _BROWSER if agent.startswith("Mozilla/") else _OTHER

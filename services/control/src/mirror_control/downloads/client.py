"""The client that downloads: an installer and its version, from the user agent."""

import re
from functools import lru_cache
from typing import NamedTuple

# uv/0.9.2 {"installer":…}, poetry/2.5.1 CPython/3.13.5 Linux/6.1, bandersnatch/8.2.0 (CPython 3.13.5, aiohttp 3.14)
_TOOL = re.compile(r"(pip|uv|poetry|pdm|bandersnatch)(?:/(\S*))?(?!\S)", re.ASCII)
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
    if found := _TOOL.match(agent):
        name, version = found.groups(default="")
        return Client(name, version if _VERSION.fullmatch(version) else "")
    return _BROWSER if agent.startswith("Mozilla/") else _OTHER

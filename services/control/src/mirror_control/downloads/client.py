"""What downloads: an installer and its version, by its user agent."""

import re
from functools import lru_cache
from typing import NamedTuple

# uv/0.9.2 {"installer":…}, poetry/2.5.1 CPython/3.13.5 Linux/6.1, bandersnatch/8.2.0 (CPython 3.13.5, aiohttp 3.14)
_TOOL = re.compile(r"(pip|uv|poetry|pdm|bandersnatch)(?:/(\S*))?(?!\S)", re.ASCII)
# PEP 440 has no longest version, but installers keep to 16 characters; what does not look like one is none.
_VERSION = re.compile(r"\d[0-9A-Za-z.+!-]{0,31}", re.ASCII)
# All that is looked at: the rest would only fill the cache. A header may have 8 kB.
_LONGEST = 80


class Client(NamedTuple):
    """An installer; its version is empty where it says none, and for browsers and others, which would be hundreds."""

    name: str
    version: str = ""


_BROWSER, _OTHER = Client("browser"), Client("other")


def parse_client(agent: str) -> Client:
    """Return the client that calls itself so; whatever it says, there is one."""
    return _parse(agent[:_LONGEST])


@lru_cache(maxsize=1024)
def _parse(agent: str) -> Client:
    if found := _TOOL.match(agent):
        name, version = found.groups(default="")
        return Client(name, version if _VERSION.fullmatch(version) else "")
    return _BROWSER if agent.startswith("Mozilla/") else _OTHER

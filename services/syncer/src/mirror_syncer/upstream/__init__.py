"""
Everything that is asked of the index we mirror: one HTTP client, pages parsed into types, files by the chunk.

A request goes down through these rooms, none of which knows of those above it (import-linter holds that):

``index``, ``legacy``      what an index has, as ``answers``: pages at their ``location``, the list · its older JSON API
``client``                 whole answers, streams, downloads that go on where they stopped
``exchange``, ``memory``   one attempt, along redirects, on a connection of the ``budget`` · what all pages may take
``retries``                what is worth a further attempt, and when
``routes``, ``proxies``    may this host be asked, by the ``hosts`` that are allowed? · by which proxy?
``addresses``, ``members`` which of a host's machines is asked · what libcurl cannot unpack
``curl``, ``handle``       libcurl in the event loop: all transfers · one of them, its ``head`` and ``bandwidth``

What comes is parsed by ``json`` or ``html`` into a ``page``, its files by ``entries``; by ``project_list`` into blocks,
which are ``listed``.
``repair`` reads JSON that a strict parser refuses; ``text`` makes what others wrote safe to be printed.
"""

from mirror_syncer.upstream.answers import Gone, ListAnswer, NotModified, PageAnswer, Validators
from mirror_syncer.upstream.budget import Budget
from mirror_syncer.upstream.client import Answer, Client
from mirror_syncer.upstream.credentials import Credentials, read_credentials
from mirror_syncer.upstream.html import parse_html
from mirror_syncer.upstream.index import Index, parse_page
from mirror_syncer.upstream.json import parse_json
from mirror_syncer.upstream.legacy import LegacyDocument, LegacyFile, LegacyIndex, parse_legacy
from mirror_syncer.upstream.limits import Limits
from mirror_syncer.upstream.listed import ListedProjects
from mirror_syncer.upstream.page import File, Page, ProjectStatus, Refusal
from mirror_syncer.upstream.project_list import ListReader
from mirror_syncer.upstream.repair import decode_json

__all__ = [
    "Answer",
    "Budget",
    "Client",
    "Credentials",
    "File",
    "Gone",
    "Index",
    "LegacyDocument",
    "LegacyFile",
    "LegacyIndex",
    "Limits",
    "ListAnswer",
    "ListReader",
    "ListedProjects",
    "NotModified",
    "Page",
    "PageAnswer",
    "ProjectStatus",
    "Refusal",
    "Validators",
    "decode_json",
    "parse_html",
    "parse_json",
    "parse_legacy",
    "parse_page",
    "read_credentials",
]

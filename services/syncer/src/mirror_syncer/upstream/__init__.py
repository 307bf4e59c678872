"""
The index that is mirrored, as it speaks: pages and lists parsed into types, files by the chunk.

Read ``index`` first: it requests pages and the project list over ``http/`` and returns ``answers``. ``json`` and
``html`` parse a page, ``entries`` its files; ``project_list`` parses the list in blocks, which ``listed`` sorts on
disk. ``repair`` reads JSON that a strict parser refuses; ``text`` makes foreign text safe to print. ``legacy_json``
is PyPI's older JSON API.
"""

from mirror_syncer.upstream.answers import Gone, ListAnswer, NotModified, PageAnswer
from mirror_syncer.upstream.html import parse_html
from mirror_syncer.upstream.http.client import Answer, Client
from mirror_syncer.upstream.http.credentials import Credentials, read_credentials
from mirror_syncer.upstream.http.limits import Limits
from mirror_syncer.upstream.http.options import ClientOptions
from mirror_syncer.upstream.index import Index, parse_page
from mirror_syncer.upstream.json import parse_json
from mirror_syncer.upstream.legacy_json import LegacyDocument, LegacyFile, LegacyIndex, parse_legacy, parse_legacy_page
from mirror_syncer.upstream.listed import ListedProjects
from mirror_syncer.upstream.project_list import ListReader
from mirror_syncer.upstream.repair import decode_json

__all__ = [
    "Answer",
    "Client",
    "ClientOptions",
    "Credentials",
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
    "PageAnswer",
    "decode_json",
    "parse_html",
    "parse_json",
    "parse_legacy",
    "parse_legacy_page",
    "parse_page",
    "read_credentials",
]

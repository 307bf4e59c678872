"""
The client of the mirrored index: it parses pages and lists into types, and delivers files in chunks.

Read ``index`` first: it requests pages and the project list over ``http/`` and returns ``responses``. ``json`` and
``html`` parse a page, ``entries`` its files. ``project_list`` parses the list in blocks, which ``listed`` sorts on
disk. ``repair`` reads JSON that a strict parser refuses; ``text`` makes foreign text safe to print. ``legacy_json``
reads PyPI's older JSON API, and ``remote_wheel`` the METADATA of a wheel without its download.
"""

from mirror_syncer.upstream.html import parse_html
from mirror_syncer.upstream.http.client import Client, Response
from mirror_syncer.upstream.http.credentials import Credentials, read_credentials
from mirror_syncer.upstream.http.limits import Limits
from mirror_syncer.upstream.http.options import ClientOptions
from mirror_syncer.upstream.index import Index, parse_page
from mirror_syncer.upstream.json import parse_json
from mirror_syncer.upstream.legacy_json import LegacyDocument, LegacyFile, LegacyIndex, parse_legacy, parse_legacy_page
from mirror_syncer.upstream.listed import ListedProjects
from mirror_syncer.upstream.memory_sink import MemorySink
from mirror_syncer.upstream.project_list import ListReader
from mirror_syncer.upstream.remote_wheel import read_remote_metadata
from mirror_syncer.upstream.repair import decode_json
from mirror_syncer.upstream.responses import Gone, ListResponse, NotModified, PageResponse

__all__ = [
    "Client",
    "ClientOptions",
    "Credentials",
    "Gone",
    "Index",
    "LegacyDocument",
    "LegacyFile",
    "LegacyIndex",
    "Limits",
    "ListReader",
    "ListResponse",
    "ListedProjects",
    "MemorySink",
    "NotModified",
    "PageResponse",
    "Response",
    "decode_json",
    "parse_html",
    "parse_json",
    "parse_legacy",
    "parse_legacy_page",
    "parse_page",
    "read_credentials",
    "read_remote_metadata",
]

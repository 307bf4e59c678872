"""A tree that another program left, and a client that keeps installing from it."""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from html import escape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urljoin
from urllib.request import urlopen

import fakepypi
from fakepypi.release import ListedFile
from mirror_contract import parse_project_name
from mirror_syncer.upstream import parse_html, parse_json

FORMS = ("index.v1_json", "index.html", "index.v1_html")


class OldMirror:
    """
    Writes what bandersnatch writes: long paths, a page in three files, its serial as text.

    Args:
        web: its document root.
    """

    def __init__(self, web: Path) -> None:
        self.web = web

    def write(
        self,
        project: fakepypi.Project,
        *,
        json_too: bool = True,
        metadata: bool = True,
        directory: str | None = None,
        prefix: str = "../..",
    ) -> Path:
        """Mirror a project; return its page's directory."""
        for file in project.files:
            path = self.web / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content)
            if metadata and file.metadata is not None:
                path.with_name(f"{path.name}.metadata").write_bytes(file.metadata)
        entries = [_entry(listed, prefix=prefix, metadata=metadata) for listed in project.listing().files]
        return self.write_page(project.name, entries, json_too=json_too, directory=directory)

    def write_page(
        self, name: str, entries: list[dict[str, Any]], *, json_too: bool = True, directory: str | None = None
    ) -> Path:
        """Write a page with this content."""
        page = self.web / "simple" / (directory or name)
        page.mkdir(parents=True, exist_ok=True)
        html = f"<!DOCTYPE html><html><head><title>Links for {name}</title></head><body><h1>Links for {name}</h1>\n"
        html += "\n".join(_anchor(entry) for entry in entries)
        for form in ("index.html", "index.v1_html"):
            (page / form).write_text(f"{html}</body></html>\n<!--SERIAL 7-->")
        if json_too:
            meta = {"api-version": "1.1", "_last-serial": "7"}
            (page / "index.v1_json").write_text(
                json.dumps({"files": entries, "meta": meta, "name": name, "versions": []})
            )
        return page

    def urls(self) -> list[str]:
        """Return the path of each file and each metadata, below the document root."""
        return sorted(str(path.relative_to(self.web)) for path in self.web.glob("packages/??/??/*/*"))


def _entry(listed: ListedFile, *, prefix: str, metadata: bool) -> dict[str, Any]:
    file = listed.file
    entry: dict[str, Any] = {
        "filename": file.filename,
        "hashes": {"sha256": file.sha256},
        "requires-python": listed.requires_python,
        "size": len(file.content),
        "upload-time": file.uploaded_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "url": f"{prefix}/{file.path}",
        "yanked": bool(listed.yanked),
    }
    if metadata and file.metadata_sha256:
        entry["core-metadata"] = {"sha256": file.metadata_sha256}
    return entry


def _anchor(entry: dict[str, Any]) -> str:
    said = f'href="{escape(entry["url"])}#sha256={entry["hashes"].get("sha256", "")}"'
    if entry.get("requires-python"):
        said += f' data-requires-python="{escape(entry["requires-python"])}"'
    if entry.get("core-metadata"):
        said += f' data-core-metadata="sha256={entry["core-metadata"]["sha256"]}"'
    if entry.get("yanked"):
        said += ' data-yanked=""'
    return f"<a {said}>{entry['filename']}</a><br/>"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:  # pytest shows the failure, not the requests
        pass


@dataclass
class Client:
    """Installs in a loop: reads every form of each page, and downloads every file that it names."""

    base: str
    projects: list[str]
    remembered: list[str]
    """URLs from a lock file."""
    forms: tuple[str, ...]
    failures: list[str] = field(default_factory=list)
    rounds: int = 0

    def round(self) -> None:
        """Install everything once."""
        for project in self.projects:
            for form in self.forms:
                self._install(project, form)
        for url in self.remembered:
            self._get(f"{self.base}/{url}")
        self.rounds += 1

    def _install(self, project: str, form: str) -> None:
        url = f"{self.base}/simple/{project}/"
        body = self._get(url + form)
        if body is None:
            return
        parse = parse_json if form.endswith("json") else parse_html
        page = parse(body, name=parse_project_name(project), url=url)
        for file in page.files:
            content = self._get(urljoin(url, file.url))
            if content is not None and hashlib.sha256(content).hexdigest() != file.sha256:
                self.failures.append(f"{file.url}: wrong content")
            if isinstance(file.core_metadata, str):
                self._get(f"{urljoin(url, file.url)}.metadata")

    def _get(self, url: str) -> bytes | None:
        try:
            with urlopen(url, timeout=10) as answer:
                body: bytes = answer.read()
                return body
        except HTTPError as error:
            error.close()
            self.failures.append(f"{url}: {error.code}")
            return None


@contextmanager
def installing(web: Path, *projects: str, remembered: list[str], forms: tuple[str, ...] = FORMS) -> Iterator[Client]:
    """Serve a tree by a plain file server, and keep a client installing from it until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(web)))
    server.daemon_threads = True
    client = Client(f"http://127.0.0.1:{server.server_port}", list(projects), remembered, forms)
    stop = threading.Event()

    def install() -> None:
        while not stop.is_set():
            client.round()
            time.sleep(0.001)

    threads = [threading.Thread(target=server.serve_forever, args=(0.01,)), threading.Thread(target=install)]
    for thread in threads:
        thread.start()
    try:
        yield client
    finally:
        stop.set()
        threads[1].join()
        client.round()
        server.shutdown()
        threads[0].join()
        server.server_close()
    assert client.failures == []
    assert client.rounds > 1

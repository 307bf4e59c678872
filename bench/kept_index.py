"""A simple index that offers only the files that a closure keeps, and uv as its client."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from packaging.utils import NormalizedName

from mirror_syncer.model.digests import NO_DIGEST
from mirror_syncer.model.page import File

_JSON = "application/vnd.pypi.simple.v1+json"
_SECONDS = 600


@dataclass(frozen=True, slots=True)
class UvMachine:
    """A machine as uv names it."""

    python: str
    platform: str
    macos: str | None = None
    """The version of macOS; None: the one that uv takes."""

    def __str__(self) -> str:
        return f"{self.python} {self.platform}"


@contextmanager
def offering(kept: Mapping[NormalizedName, Sequence[File]]) -> Iterator[str]:
    """Serve pages of these files alone, which stay where upstream has them; yield the index's URL."""
    pages = {f"/simple/{name}/": _page(name, files) for name, files in kept.items()}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = pages.get(self.path)
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", _JSON)
            self.send_header("Cache-Control", "no-cache")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple/"
        finally:
            server.shutdown()


def _page(name: NormalizedName, files: Sequence[File]) -> bytes:
    entries = [
        {
            "filename": file.filename,
            "url": file.url,
            "hashes": {} if file.sha256 == NO_DIGEST else {"sha256": file.sha256},
            "requires-python": file.requires_python,
            "yanked": file.yanked,
            "size": file.size,
            "upload-time": file.upload_time,
        }
        for file in files
    ]
    return json.dumps({"meta": {"api-version": "1.1"}, "name": name, "files": entries}).encode()


def compiled(line: str, machine: UvMachine, url: str | None, *, cache: Path, builds: bool = False) -> str | None:
    """
    Resolve a line by uv on a machine, and return why that failed.

    Args:
        url: of the only index; None: PyPI.
        builds: whether uv may build what has no wheel; else it takes wheels alone.
    """
    target = ("--python-version", machine.python, "--python-platform", machine.platform)
    index = () if url is None else ("--default-index", url)
    wheels = () if builds else ("--only-binary", ":all:")
    try:
        done = _compile(line, *index, *wheels, "--cache-dir", str(cache), *target, macos=machine.macos)
    except subprocess.TimeoutExpired:
        return f"no answer in {_SECONDS} s"
    return None if done.returncode == 0 else done.stderr


def universal_releases(line: str) -> frozenset[str]:
    """Return the releases of uv's resolution for all platforms, from PyPI."""
    done = _compile(line, "--universal", "--python-version", "3.11", "--no-annotate", "--no-header")
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return frozenset(text.partition(";")[0].strip() for text in done.stdout.splitlines() if "==" in text)


def _compile(line: str, *options: str, macos: str | None = None) -> subprocess.CompletedProcess[str]:
    uv = os.environ.get("UV") or shutil.which("uv") or "uv"
    environment = os.environ | ({} if macos is None else {"MACOSX_DEPLOYMENT_TARGET": macos})
    return subprocess.run(  # noqa: S603 - uv, and lines of the command line
        [uv, "pip", "compile", "--no-config", "--no-python-downloads", *options, "-"],
        env=environment,
        input=f"{line}\n",
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )

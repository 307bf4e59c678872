#!/usr/bin/env bash
# pip 26.3 and uv 0.13.9 (from PyPI), seen on 2026-11-30 with CPython 3.11.7:
#
# They ask for the metadata of the same file at two addresses, where the file's URL has a query, as a signed URL of an
# object store does. pip appends ".metadata" to the whole URL, uv to its path. A server that reads the path alone then
# gives pip the wheel itself, and pip reports that somebody may have tampered with it.
#
# An index offers demo 1.0 at `…whl?signature=abc`, with the right hash of its metadata in `core-metadata`.
#   uv:   GET /files/demo-1.0-py3-none-any.whl.metadata?signature=abc
#         Installed 1 package
#   pip:  GET /files/demo-1.0-py3-none-any.whl?signature=abc.metadata
#         ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. …
# Without `core-metadata`, pip installs the same file from the same URL.
#
# Guessed from another client's source that they differ; what pip then reports was the surprise. poetry 2.5.1 asks as uv
# does; PDM 2.29.4 asks as pip does, but goes on with the wheel. So a mirror that signs the URLs of its files must not
# announce metadata. Our pages have no queries, so there is nothing to do here. Exit code 0: still so; 1: it changed.
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pip==26.3 uv==0.13.9

cat >index.py <<'PYTHON'
"""The wheels of two projects, one with announced metadata, and an index of them that logs the requests for files."""

import base64
import hashlib
import io
import json
import sys
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def wheel(project):
    info = f"{project}-1.0.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digest = {name: base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode() for name, text in files.items()}
    record = "".join(f"{name},sha256={digest[name]},{len(text)}\n" for name, text in files.items())
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        for name, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
            opened.writestr(name, text)
    return archive.getvalue(), files[f"{info}/METADATA"]


JSON = "application/vnd.pypi.simple.v1+json"
ANSWERS = {}
for project in ("demo", "plain"):
    content, metadata = wheel(project)
    place = f"/files/{project}-1.0-py3-none-any.whl"
    entry = {
        "filename": place.rpartition("/")[2],
        "url": f"{place}?signature=abc",
        "hashes": {"sha256": sha256(content)},
        "size": len(content),
    }
    if project == "demo":
        entry["core-metadata"] = {"sha256": sha256(metadata)}
        ANSWERS[f"{place}.metadata"] = "application/octet-stream", metadata
    page = {"meta": {"api-version": "1.1"}, "name": project, "versions": ["1.0"], "files": [entry]}
    ANSWERS[place] = "application/octet-stream", content
    ANSWERS[f"/simple/{project}/"] = JSON, json.dumps(page).encode()


class Index(BaseHTTPRequestHandler):
    def do_GET(self):
        path = urlsplit(self.path).path
        if path not in ANSWERS:
            self.send_error(404)
            return
        if path.startswith("/files/"):
            print("GET", self.path, file=sys.stderr, flush=True)
        kind, body = ANSWERS[path]
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


with HTTPServer(("127.0.0.1", 0), Index) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
PYTHON

python3 index.py >port 2>>requests &
server=$!
until [[ -s port ]]; do sleep 0.1; done
url=http://127.0.0.1:$(<port)/simple/

# No setting of this machine's pip or uv, no other index, and no cache.
pip_install() {
  env -u PIP_EXTRA_INDEX_URL -u PIP_FIND_LINKS PIP_CONFIG_FILE=/dev/null venv/bin/pip install --no-cache-dir \
    --disable-pip-version-check --index-url "$url" --target "$1" "${1#pip-}" 2>&1 || true
}
uv_install() {
  env -u UV_INDEX -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS venv/bin/uv pip install --no-config --no-cache \
    --python venv/bin/python --default-index "$url" --target "$1" "${1#uv-}" 2>&1 || true
}

echo "── uv ──"
uv=$(uv_install uv-demo)
asked_uv=$(head -n 1 requests)
echo "$asked_uv"
grep Installed <<<"$uv"

echo "── pip ──"
: >requests
pip=$(pip_install pip-demo)
asked_pip=$(head -n 1 requests)
echo "$asked_pip"
grep -E '^(Successfully|ERROR)' <<<"$pip"

echo "── pip, without core-metadata ──"
plain=$(pip_install pip-plain)
grep -E '^(Successfully|ERROR)' <<<"$plain"

[[ $asked_uv == "GET /files/demo-1.0-py3-none-any.whl.metadata?signature=abc" && $uv == *"Installed 1 package"* &&
  $asked_pip == "GET /files/demo-1.0-py3-none-any.whl?signature=abc.metadata" && $pip == *"DO NOT MATCH THE HASHES"* &&
  $plain == *"Successfully installed plain-1.0"* ]] || {
  echo "changed: uv asked '$asked_uv', pip asked '$asked_pip'"
  exit 1
}
echo "as described"

#!/usr/bin/env bash
# morgan 0.15.0 (from PyPI, with packaging 24.2), seen on 2026-11-30 with CPython 3.11.7:
#
# It mirrors the release that pip refuses, and leaves out the one that pip takes, where requires-python has a wildcard
# (`==3.*`, `!=3.11.*`). It cuts every `.*` off before it reads the specifier, to read `>=3.6.*` of old packages, and
# compares the rest with python_full_version, which its own `generate_env` writes: 3.11.7 is not `==3`, and is `!=3.11`.
#
# An index offers demo 1.0 with `==3.*` and demo 2.0 with `!=3.11.*` (the minor version of the Python at hand).
#   pip from that index:       Successfully installed demo-1.0
#   morgan mirror:             fetches demo-2.0 alone
#   pip from morgan's mirror:  ERROR: Package 'demo' requires a different Python: 3.11.7 not in '!=3.11.*'
#
# Guessed from the two lines of its source, then run. Our pages pass requires-python on as it is, so there is nothing to
# do here. Exit code 0: still so; 1: it changed.
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check morgan==0.15.0 packaging==24.2

cat >index.py <<'PYTHON'
"""A project of two wheels, and an index of it on a free port of 127.0.0.1."""

import base64
import hashlib
import io
import json
import sys
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer

MINOR = sys.version_info[1]
REQUIRES = {"1.0": "==3.*", "2.0": f"!=3.{MINOR}.*"}


def wheel(version):
    info = f"demo-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: demo\nVersion: {version}\nRequires-Python: {REQUIRES[version]}\n"
    files = {
        "demo.py": b"",
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {name: base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode() for name, text in files.items()}
    record = "".join(f"{name},sha256={digests[name]},{len(text)}\n" for name, text in files.items())
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        for name, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
            opened.writestr(name, text)
    return archive.getvalue()


WHEELS = {f"demo-{version}-py3-none-any.whl": (version, wheel(version)) for version in REQUIRES}


class Index(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.rpartition("/")[2]
        if name in WHEELS:
            kind, body = "application/octet-stream", WHEELS[name][1]
        elif self.path.rstrip("/") == "/simple/demo":
            entries = [
                {
                    "filename": name,
                    "url": f"/files/{name}",
                    "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
                    "requires-python": REQUIRES[version],
                    "size": len(content),
                    "upload-time": "2026-01-01T00:00:00Z",
                    "yanked": False,
                }
                for name, (version, content) in WHEELS.items()
            ]
            page = {"meta": {"api-version": "1.1"}, "name": "demo", "versions": list(REQUIRES), "files": entries}
            kind, body = "application/vnd.pypi.simple.v1+json", json.dumps(page).encode()
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


with HTTPServer(("127.0.0.1", 0), Index) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
PYTHON

python3 index.py >port 2>index.log &
server=$!
until [[ -s port ]]; do sleep 0.1; done
url=http://127.0.0.1:$(<port)/simple/

# No setting of this machine's pip, and no other index.
direct=$(env -u PIP_EXTRA_INDEX_URL -u PIP_FIND_LINKS PIP_CONFIG_FILE=/dev/null \
  venv/bin/pip install --index-url "$url" --target direct demo 2>&1 || true)
echo "── pip from the index ──"
grep -E '^(Successfully|ERROR)' <<<"$direct"

venv/bin/morgan generate_env >morgan.ini
printf '[requirements]\ndemo =\n' >>morgan.ini
echo "── morgan ──"
venv/bin/morgan mirror --index-path=mirrored --index-url="$url" --config=morgan.ini || true
found=$(find mirrored -name '*.whl' -printf '%f\n' | sort)

refused=$(env -u PIP_EXTRA_INDEX_URL PIP_CONFIG_FILE=/dev/null \
  venv/bin/pip install --no-index --find-links mirrored/demo --target mirror demo 2>&1 || true)
echo "── pip from what morgan mirrored ──"
grep -E '^(Successfully|ERROR)' <<<"$refused"

[[ $direct == *"Successfully installed demo-1.0"* && $found == demo-2.0-py3-none-any.whl &&
  $refused == *"requires a different Python"* ]] || {
  echo "changed: morgan mirrored '$found'"
  exit 1
}
echo "as described"

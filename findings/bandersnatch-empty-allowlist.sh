#!/usr/bin/env bash
# bandersnatch 8.2.0 (from PyPI), seen on 2026-11-30 with CPython 3.12.1:
#
# Its two filters of the allowlist read an empty list in opposite ways. For `allowlist_project` it allows every project,
# for `allowlist_release` no release; the log says "filtering []" of both. bandersnatch then publishes a page without
# files for each project, and ends with exit code 0. `enabled = all`, the first example of its documentation, does this
# even with a list of packages: it enables `project_requirements_pinned`, whose list of requirement files is empty.
#
# An index has demo 1.0, of one wheel. `bandersnatch mirror` runs with one of these configurations at a time:
#   enabled = allowlist_project, packages empty:     exit code 0, 1 file, 1 link on the page of demo
#   enabled = allowlist_release, packages empty:     exit code 0, 0 files, 0 links on the page of demo
#   enabled = all, packages = demo:                  exit code 0, 0 files, 0 links on the page of demo
#   the same, with demo in a requirement file:       exit code 0, 1 file, 1 link on the page of demo
#
# Guessed: a filter without a list filters nothing, in both. The documentation says that plug-ins without options get
# their defaults, and nothing about empty lists. For the second and third, our `import-config` names the plug-in and
# writes no configuration. Exit code 0: still so; 1: it changed.
set -euo pipefail

# bandersnatch needs Python 3.12. PYTHON names one, otherwise take the first on PATH or of pyenv.
python=
for candidate in ${PYTHON:+"$PYTHON"} python3 python3.12 python3.13 python3.14 \
  "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[2-9].*/bin/python3; do
  if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
[[ -n $python ]] || {
  echo "Python 3.12 or newer is missing; name one: PYTHON=/path/to/python3.12 $0" >&2
  exit 2
}

folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"

"$python" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check bandersnatch==8.2.0

cat >index.py <<'PYTHON'
"""An index of one project of one wheel, with the pages that bandersnatch asks for."""

import base64
import hashlib
import io
import json
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer

INFO = "demo-1.0.dist-info"
FILES = {
    f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
    f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
WHEEL = "demo-1.0-py3-none-any.whl"


def make_wheel():
    archive, record = io.BytesIO(), ""
    with zipfile.ZipFile(archive, "w") as wheel:
        for name, text in FILES.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()
            record += f"{name},sha256={digest},{len(text)}\n"
            wheel.writestr(name, text)
        wheel.writestr(f"{INFO}/RECORD", f"{record}{INFO}/RECORD,,\n")
    return archive.getvalue()


class Index(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path not in ANSWERS:
            self.send_error(404)
            return
        kind, body = ANSWERS[self.path]
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-PyPI-Last-Serial", "7")
        self.end_headers()
        self.wfile.write(body)


with HTTPServer(("127.0.0.1", 0), Index) as server:
    content, path = make_wheel(), f"/packages/ab/cd/{WHEEL}"
    file = {
        "filename": WHEEL,
        "url": f"http://127.0.0.1:{server.server_port}{path}",
        "digests": {"sha256": hashlib.sha256(content).hexdigest(), "md5": hashlib.md5(content).hexdigest()},
        "packagetype": "bdist_wheel",
        "python_version": "py3",
        "requires_python": None,
        "size": len(content),
        "upload_time_iso_8601": "2026-01-01T00:00:00.000000Z",
        "yanked": False,
        "yanked_reason": None,
    }
    project = {"info": {"name": "demo", "version": "1.0"}, "last_serial": 7, "releases": {"1.0": [file]}}
    projects = {"meta": {"api-version": "1.1", "_last-serial": 7}, "projects": [{"name": "demo", "_last-serial": 7}]}
    ANSWERS = {
        "/simple": ("application/vnd.pypi.simple.v1+json", json.dumps(projects).encode()),
        "/pypi/demo/json": ("application/json", json.dumps(project).encode()),
        path: ("application/octet-stream", content),
    }
    print(server.server_port, flush=True)
    server.serve_forever()
PYTHON

python3 index.py >port 2>index.log &
server=$!
until [[ -s port ]]; do sleep 0.1; done

# Mirror the index into folder $1 with the filter $2, the packages $3 and the requirement file $4, without a proxy of
# this machine. Print the exit code, and how many files and links the mirror has.
mirror() {
  cat >"$1.conf" <<INI
[mirror]
directory = $folder/$1
master = http://127.0.0.1:$(<port)
allow-non-https = true

[plugins]
enabled = $2

[allowlist]
packages = $3
requirements_path = $folder
requirements = $4
INI
  local code=0 page
  env -i PATH="$PATH" venv/bin/bandersnatch --config "$1.conf" mirror >"$1.log" 2>&1 || code=$?
  page=$1/web/simple/demo/index.html
  [[ -f $page ]] || {
    echo "exit code $code, no page of demo"
    cat "$1.log" >&2
    return
  }
  echo "exit code $code, files: $(find "$1/web/packages" -name '*.whl' | wc -l), links: $(grep -c '<a href' "$page")"
}

echo demo >requirements.txt

echo "── allowlist_project, packages empty ──"
project=$(mirror project allowlist_project "" "")
echo "$project"

echo "── allowlist_release, packages empty ──"
release=$(mirror release allowlist_release "" "")
echo "$release"

echo "── all, packages = demo ──"
all=$(mirror all all demo "")
echo "$all"

echo "── all, packages = demo, with demo in a requirement file ──"
pinned=$(mirror pinned all demo requirements.txt)
echo "$pinned"

everything="exit code 0, files: 1, links: 1"
nothing="exit code 0, files: 0, links: 0"
[[ $project == "$everything" && $release == "$nothing" && $all == "$nothing" && $pinned == "$everything" ]] || {
  echo "changed: '$project', '$release', '$all' and '$pinned'"
  exit 1
}
echo "as described"

#!/usr/bin/env bash
# unearth 0.19.0 (PDM's finder of packages) and devpi-server 6.20.3 (from PyPI), seen on 2026-11-30 with CPython 3.11.7:
#
# devpi takes a mail address as a user's name, and so puts an "@" into the URL of every page and file of that user. From
# such an index pip installs, and unearth finds nothing: it cuts the path of every file off at its last "@", as if a
# revision of git followed, and is left with no file name. With the "@" written as %40 in the index's URL, which all
# relative URLs on the page then take over, it finds the same file.
#
# A user team@example.org of devpi has an index dev, with demo 1.0 in it.
#   pip,     from /team@example.org/dev/+simple/:    Successfully installed demo-1.0
#   unearth, from /team@example.org/dev/+simple/:    No matches are found.
#   unearth, from /team%40example.org/dev/+simple/:  …/team%40example.org/dev/+f/…/demo-1.0-py3-none-any.whl
#
# Guessed from unearth's source, then run; that devpi makes such URLs was found after. uv 0.13.9 and poetry 2.5.1 read
# an "@" in the path of a file as pip does; PDM 2.29.4 says "Unable to find candidates". It matters to operators whose
# mirror's URL has a path with an "@". Exit code 0: still so; 1: it changed.
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || { kill "$server"; wait "$server" || true; }; rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check pip==26.3 unearth==0.19.0 devpi-server==6.20.3

python3 - <<'PYTHON'
"""Write the wheel of demo 1.0."""

import base64
import hashlib
import zipfile

INFO = "demo-1.0.dist-info"
FILES = {
    f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
    f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
with zipfile.ZipFile("demo-1.0-py3-none-any.whl", "w") as wheel:
    record = ""
    for name, text in FILES.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(text)}\n"
        wheel.writestr(name, text)
    wheel.writestr(f"{INFO}/RECORD", f"{record}{INFO}/RECORD,,\n")
PYTHON

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
base=http://127.0.0.1:$port
venv/bin/devpi-init --serverdir server --no-root-pypi >devpi.log 2>&1
venv/bin/devpi-server --serverdir server --host 127.0.0.1 --port "$port" >>devpi.log 2>&1 &
server=$!
curl --silent --output /dev/null --retry 90 --retry-delay 1 --retry-max-time 90 --retry-connrefused "$base/" || {
  cat devpi.log
  exit 1
}

user=team@example.org
json=(--silent --fail --output /dev/null --header "Content-Type: application/json")
curl "${json[@]}" --request PUT --data '{"password": "example"}' "$base/$user"
curl "${json[@]}" --request PUT --data '{"bases": []}' --user "$user:example" "$base/$user/dev"
curl --silent --fail --user "$user:example" --form :action=file_upload --form name=demo --form version=1.0 \
  --form content=@demo-1.0-py3-none-any.whl "$base/$user/dev/"

# No setting of this machine's pip, and no other index.
echo "── pip ──"
pip=$(env -u PIP_EXTRA_INDEX_URL -u PIP_FIND_LINKS PIP_CONFIG_FILE=/dev/null venv/bin/pip install --no-cache-dir \
  --disable-pip-version-check --index-url "$base/$user/dev/+simple/" --target installed demo 2>&1 || true)
grep -E '^(Successfully|ERROR)' <<<"$pip"

echo "── unearth ──"
plain=$(venv/bin/unearth --link-only --index-url "$base/$user/dev/+simple/" demo 2>&1 || true)
echo "$plain"

echo "── unearth, with %40 ──"
escaped=$(venv/bin/unearth --link-only --index-url "$base/${user/@/%40}/dev/+simple/" demo 2>&1 || true)
echo "$escaped"

[[ $pip == *"Successfully installed demo-1.0"* && $plain == *"No matches are found"* &&
  $escaped == "$base/team%40example.org/dev/+f/"*/demo-1.0-py3-none-any.whl ]] || {
  echo "changed: unearth said '$plain' and '$escaped'"
  exit 1
}
echo "as described"

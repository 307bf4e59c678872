#!/usr/bin/env bash
# PDM 2.29.4 and pip 26.3 (from PyPI, with packaging 26.4), seen on 2026-11-30 with CPython 3.11.7:
#
# In a project that has no pdm.lock yet, `pdm export --format pylock` writes a valid pylock.toml without packages, and
# ends with exit code 0. The file has the right hash of the project's dependencies, so PDM takes it for up to date. pip
# installs nothing from it, with exit code 0. The same command for requirements.txt reports the missing lock.
#
# The project depends on iniconfig 2.1.0.
#   pdm export --format requirements:           exit code 1, No lockfile found, please run `pdm lock` first.
#   pdm export --format pylock:                 exit code 0, packages = []
#   pdm lock --check --lockfile pylock.toml:    exit code 0; exit code 1 after a change to iniconfig 2.0.0
#   pip install --requirement pylock.toml:      exit code 0, nothing is installed
#
# Guessed: PDM reports the missing lock for both formats, or locks first. uv 0.13.9 refuses the file, since its list of
# environments is empty, too. It matters to operators who give a mirror the locks to keep: a lock that PDM exported
# again, without its pdm.lock, pins nothing. Exit code 0: still so; 1: it changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pip==26.3 pdm==2.29.4 packaging==26.4

mkdir project
cd project
cat >pyproject.toml <<'TOML'
[project]
name = "demo"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["iniconfig==2.1.0"]
TOML

# No setting of this machine's PDM or pip, no index, and the Python of the venv.
run() {
  local code=0
  env -i PATH="$PATH" HOME="$folder" VIRTUAL_ENV="$folder/venv" PDM_CHECK_UPDATE=0 PIP_CONFIG_FILE=/dev/null \
    "$folder/venv/bin/$1" "${@:2}" 2>&1 || code=$?
  echo "exit code $code"
}

echo "── pdm export --format requirements ──"
requirements=$(run pdm export --format requirements)
echo "$requirements"

echo "── pdm export --format pylock ──"
pylock=$(run pdm export --format pylock --output pylock.toml)
tail -n 1 <<<"$pylock"
packages=$(grep '^packages' pylock.toml || true)
echo "$packages"
valid=$("$folder/venv/bin/python" - <<'PYTHON'
"""Say whether pylock.toml is valid."""

import tomllib

from packaging.pylock import Pylock

with open("pylock.toml", "rb") as file:
    Pylock.from_dict(tomllib.load(file)).validate()
print("valid")
PYTHON
)
echo "$valid"

echo "── pdm lock --check ──"
check=$(run pdm lock --check --lockfile pylock.toml)
echo "$check"

echo "── pip install ──"
pip=$(run pip install --no-index --disable-pip-version-check --target "$folder/installed" --requirement pylock.toml)
echo "$pip"
installed=$(find "$folder/installed" -mindepth 1 2>/dev/null | wc -l)
echo "files installed: $installed"

echo "── pdm lock --check, with another version ──"
sed -i 's/==2\.1\.0/==2.0.0/' pyproject.toml
other=$(run pdm lock --check --lockfile pylock.toml)
echo "$other"

[[ $requirements == *"No lockfile found"*"exit code 1" && $pylock == *"exit code 0" && $packages == "packages = []" &&
  $valid == valid && $check == *"exit code 0" && $pip == *"exit code 0" && $installed == 0 &&
  $other == *"exit code 1" ]] || {
  echo "changed: requirements '$requirements', pylock '$pylock' with '$packages'"
  exit 1
}
echo "as described"

#!/usr/bin/env bash
# Writes requirements.lock (what the project runs with) and requirements-dev.lock
# (the same plus every extra, and what checks and tests it) from pyproject.toml:
#
#     scripts/lock.sh [option of `uv pip compile` ...]
#
# Versions that are in the files stay, so that a run without a change to
# pyproject.toml changes nothing. `--upgrade` moves all of them as far as
# pyproject.toml lets them, `--upgrade-package NAME` one of them.
set -euo pipefail

uv_version=0.13.8

CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

temporary=$(mktemp -d)
trap 'rm -rf -- "$temporary"' EXIT
# uv leaves lock files of its own where temporary files go.
export TMPDIR=$temporary
python3 -m venv "$temporary/venv"
"$temporary/venv/bin/python" -m pip install --quiet --quiet \
  --disable-pip-version-check "uv==$uv_version"

# One set of versions (`fewest`) serves every CPython and platform that
# pyproject.toml allows: what the tests show on one of them is worth more that way.
# The header names this script, and never an index: where packages come from is
# the user's business. Extras stay in the names: pip takes `etils==1.5.2` for no pin
# of the `etils[epath]` that MuJoCo asks for.
compile() {
  "$temporary/venv/bin/uv" pip compile pyproject.toml --quiet \
    --python "$temporary/venv/bin/python" --universal --python-version 3.9 \
    --fork-strategy fewest --generate-hashes --no-strip-extras --no-emit-index-url \
    --no-emit-find-links --custom-compile-command scripts/lock.sh "$@"
}

compile --output-file requirements.lock "$@"
compile --all-extras --constraints requirements.lock \
  --output-file requirements-dev.lock "$@"

#!/usr/bin/env bash
# Runs the tests, two at a time since many wait for other processes; arguments go to
# pytest:
#
#     scripts/test.sh [option or test of pytest ...]
set -euo pipefail

CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
python=$(scripts/setup.sh --dev)

# Only what the lock file names may be imported, by the processes of the tests too.
unset PYTHONHOME PYTHONPATH
export PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1

exec "$python" -m pytest --numprocesses 2 --dist worksteal "$@"

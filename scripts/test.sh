#!/usr/bin/env bash
# Runs the tests, three at a time since many wait for other processes; arguments go to
# pytest. With --quick it leaves out those that tests/conftest.py calls slow:
#
#     scripts/test.sh [--quick] [option or test of pytest ...]
set -euo pipefail

if [[ ${1-} == --help ]]; then
  echo 'usage: scripts/test.sh [--quick] [option or test of pytest ...]'
  echo '  --quick  leave out the tests that tests/conftest.py calls slow'
  exit
fi

CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
python=$(scripts/setup.sh --dev)

# Only what the lock file names may be imported, by the processes of the tests too.
unset PYTHONHOME PYTHONPATH
export PYTHONNOUSERSITE=1

if [[ "${1-}" == --quick ]]; then
  shift
  set -- -m 'not slow' "$@"
fi
exec "$python" -m pytest --numprocesses 3 --dist worksteal "$@"

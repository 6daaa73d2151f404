#!/usr/bin/env bash
# Runs the tests, two at a time since many wait for other processes; arguments go to
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
export PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1

if [[ "${1-}" == --quick ]]; then
  shift
  set -- -m 'not slow' "$@"
fi
# What killed processes leave in the temporary folder goes with it. What pytest keeps of
# failed tests stays where it always is.
export PYTEST_DEBUG_TEMPROOT=${TMPDIR:-/tmp}
TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/sac_tests.XXXXXX")
export TMPDIR
chmod 755 "$TMPDIR" # Some tests act as another user.
trap 'rm -rf "$TMPDIR"' EXIT
"$python" -m pytest --numprocesses 2 --dist worksteal "$@"
